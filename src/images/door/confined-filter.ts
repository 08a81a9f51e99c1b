import type { Readable, Writable } from 'node:stream';
import type { CellOptions } from './cell.ts';
import { collectText, spawnConfined, type ProcessEnd } from './confined-child.ts';

/** A confined program between two streams. Disposing of it ends it and waits until it has gone. */
export interface ConfinedFilter extends AsyncDisposable {
  /** A program that ends early makes writing fail with EPIPE: how it ended tells more. */
  readonly stdin: Writable;
  /** To be read to its end. */
  readonly stdout: Readable;
  /** How it ended, with the first 4 KiB that it said. */
  readonly ended: () => Promise<ProcessEnd & { readonly stderr: string }>;
}

const maxStderrBytes = 4_096;

/**
 * Starts a program as `spawnConfined` says, fed by `stdin`; the signal ends it. There is no limit by the clock: whoever feeds it has one.
 * Throws the system's error when it cannot be started.
 */
export async function filterConfined(command: readonly string[], options: CellOptions, signal: AbortSignal): Promise<ConfinedFilter> {
  signal.throwIfAborted();
  const child = spawnConfined(command, { ...options, stdin: 'pipe' });
  if (child.process.pid === undefined) await child.ended; // throws; out of descriptors, such a child has no streams either
  const { stdin, stdout } = child.process;
  if (stdin === null || stdout === null) throw new Error('a child without pipes');
  const stderr = collectText(child.process.stderr, maxStderrBytes, child.kill);
  const onAbort = (): void => child.kill();
  signal.addEventListener('abort', onAbort, { once: true });
  stdin.on('error', () => undefined); // told by the write

  const dispose = async (): Promise<void> => {
    signal.removeEventListener('abort', onAbort);
    child.kill();
    stdin.destroy();
    stdout.destroy();
    await child.ended.catch(() => undefined);
  };

  return { stdin, stdout, ended: async () => ({ ...(await child.ended), stderr: stderr() }), [Symbol.asyncDispose]: dispose };
}
