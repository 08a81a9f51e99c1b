import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Waits for an exclusive lock on a file (made if missing) and answers what releases it. The lock is flock(2)'s, held by a child until
 * its stdin ends, so that it never outlives this process. Throws when aborted or when the child cannot lock.
 */
export async function lockFile(file: string, signal: AbortSignal): Promise<AsyncDisposable> {
  const child = spawn('flock', ['--no-fork', file, 'sh', '-c', 'echo; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'], signal });
  const ended = once(child, 'close');
  const locked = once(child.stdout, 'data');
  const how = await Promise.race([locked.then(() => 'locked'), ended.then(() => 'ended')]);
  if (how === 'ended') throw new Error(`could not lock ${file}`);
  return {
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
