import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { isGroupAlive, killGroup } from '../../lib/process-group.ts';
import { spawnTurn } from '../../lib/spawn-turn.ts';
import type { PluginRun, StuckPlugin } from './failure.ts';

/** How a plugin is run. */
export interface PluginProcess {
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  readonly input: string;
  /** Longest run; then the plugin's process group gets SIGTERM, and SIGKILL 500 ms later. What that does not end is not waited for beyond 2 s. */
  readonly timeoutMs: number;
  /** Longest stdout and stderr, each, in bytes. */
  readonly maxOutputBytes: number;
}

const killAfterMs = 500;
/** What lives so long after SIGKILL, milliseconds, hangs in the kernel: on a server of files that is gone, say. */
const giveUpAfterMs = 2_000;

type End = Pick<PluginRun, 'exitCode' | 'signal'>;

/**
 * Runs a plugin in a process group of its own, so that what it started (IPAM) ends with it. Answers how it ended once it is gone, or once
 * nothing can end it. Throws the system's error when it cannot be started, and the signal's reason when it was aborted before; one that is
 * aborted later ends as at its deadline.
 */
export async function runPlugin(options: PluginProcess, signal: AbortSignal): Promise<PluginRun> {
  await spawnTurn();
  signal.throwIfAborted();
  const child = spawn(options.program, [], { detached: true, env: { ...options.env }, cwd: '/', stdio: ['pipe', 'pipe', 'pipe'] });
  const closed = Promise.withResolvers<End>();
  child.once('error', closed.reject);
  child.once('close', (code, by) => closed.resolve({ exitCode: code ?? undefined, signal: by ?? undefined }));
  const { pid = 0 } = child;
  if (pid === 0) await closed.promise; // throws the system's error; out of descriptors, such a child has no streams either
  let ended: PluginRun['ended'] = 'exit';
  const timers: NodeJS.Timeout[] = [];
  const giveUp = (): void => {
    child.stdin.destroy();
    child.unref(); // it does not hold up the daemon's end either
    closed.resolve({ exitCode: undefined, signal: undefined });
  };
  const kill = (): void => {
    killGroup(pid, 'SIGKILL');
    child.stdout.destroy(); // one that left the group may still hold the pipes: nobody waits for it
    child.stderr.destroy();
    timers.push(setTimeout(giveUp, giveUpAfterMs));
  };
  const end = (why: PluginRun['ended']): void => {
    if (timers.length > 1) return;
    ended = why;
    killGroup(pid, 'SIGTERM');
    timers.push(setTimeout(kill, killAfterMs));
  };
  timers.push(setTimeout(() => end('deadline'), options.timeoutMs));
  const onAbort = (): void => end('deadline');
  signal.addEventListener('abort', onAbort, { once: true });
  const collect = (stream: NodeJS.ReadableStream): (() => string) => {
    const chunks: Buffer[] = [];
    let length = 0;
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > options.maxOutputBytes) end('flood');
      else chunks.push(chunk);
    });
    return () => Buffer.concat(chunks).toString('utf8');
  };
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.stdin.on('error', () => undefined); // a plugin that ends without reading its input: its exit tells
  child.stdin.end(options.input);
  try {
    const how = await closed.promise;
    const stuck = ended === 'exit' ? undefined : await endGroup(child, pid);
    return { ...how, stdout: stdout(), stderr: stderr(), ended, ...(stuck ? { stuck } : {}) };
  } finally {
    for (const timer of timers) clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/** Ends what ignored SIGTERM and had closed its pipes; answers what does not end. */
async function endGroup(child: ChildProcess, pgid: number): Promise<StuckPlugin | undefined> {
  killGroup(pgid, 'SIGKILL');
  const isGone = async (): Promise<boolean> => hasEnded(child) && !(await isGroupAlive(pgid));
  const end = performance.now() + giveUpAfterMs;
  while (!(await isGone())) {
    if (!hasEnded(child) || performance.now() > end) return { pgid, isGone }; // a leader that is there still has had its time
    await delay(20);
  }
  return undefined;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
