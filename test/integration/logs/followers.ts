import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import type { ConsoleLogRequest } from '../../../src/logs/logs.ts';

/** A follower in a process of its own. */
export interface FollowerProcess {
  readonly child: ChildProcess;
  /** Asks for something, and answers what it says when that is done; throws when it ends before. */
  readonly ask: (command: 'reopen' | 'finish') => Promise<string>;
  /** Resolves when it follows. */
  readonly ready: Promise<string>;
  /** SIGKILL; resolves when it is gone. */
  readonly kill: () => Promise<void>;
}

/** Starts a follower; it is killed when the running test ends. */
export function startProcess(request: ConsoleLogRequest): FollowerProcess {
  const program = join(import.meta.dirname, 'follower-process.ts');
  const child = spawn(process.execPath, [program, JSON.stringify(request)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const gone = once(child, 'exit');
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.stdin.on('error', () => undefined); // it may be killed while it is asked

  async function next(): Promise<string> {
    const answer = await answers.next();
    if (answer.done === true) throw new Error('the follower ended without an answer');
    return answer.value;
  }

  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await gone;
  }

  onTestFinished(kill);
  const ready = next();
  ready.catch(() => undefined); // one that is killed at once never gets there
  return {
    child,
    ready,
    ask: async (command) => {
      await ready;
      child.stdin.write(`${command}\n`);
      return next();
    },
    kill,
  };
}

/** Something that prints without end. */
export interface Printing {
  /** Stops at a line's end and answers all lines. */
  readonly stop: () => Promise<readonly string[]>;
}

/** Characters that wait to be written, where the disk is slower than asked for. */
const mostPending = 2 ** 20;

/** Appends numbered lines to a console file, cut anywhere, also within a line, until it is stopped. */
export function startPrinting(consoleFile: string, bytesPerMs: number): Printing {
  const lines: string[] = [];
  let isStopped = false;
  const done = run();
  onTestFinished(async () => {
    isStopped = true;
    await done;
  });

  async function run(): Promise<void> {
    await using console = await open(consoleFile, 'a');
    const start = performance.now();
    let written = 0;
    let pending = '';
    while (!isStopped || pending !== '') {
      const due = (performance.now() - start) * bytesPerMs - written;
      while (!isStopped && pending.length < Math.min(due, mostPending)) {
        const line = `line ${lines.length} ${'.'.repeat(lines.length % 200)}`;
        lines.push(line);
        pending += `${line}${lines.length % 3 === 0 ? '\r' : ''}\n`;
      }
      const length = isStopped ? pending.length : Math.ceil(Math.random() * pending.length);
      if (length > 0) await console.write(pending.slice(0, length));
      else await new Promise(setImmediate);
      pending = pending.slice(length);
      written += length;
    }
  }

  return {
    stop: async () => {
      isStopped = true;
      await done;
      return lines;
    },
  };
}
