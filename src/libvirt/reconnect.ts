import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from './backoff.ts';
import { LibvirtUnavailableError } from './errors.ts';

/** Where a client is. `connecting` covers the waits between attempts; `error` says why the last one failed. */
export type LibvirtClientState =
  | { readonly kind: 'connecting'; readonly error: LibvirtUnavailableError | undefined }
  | { readonly kind: 'connected' }
  | { readonly kind: 'closed' };

/** Something that can be opened, ends by itself one day, and can be closed. */
interface Closable {
  readonly ended: Promise<Error>;
  readonly close: () => Promise<void>;
}

/** How to open, what to tell, and how long to wait between attempts. */
export interface ReconnectorOptions<S> {
  readonly open: (signal: AbortSignal) => Promise<S>;
  /** `again` for every session but the first. */
  readonly onOpened: (session: S, again: boolean) => void;
  readonly onLost: (error: LibvirtUnavailableError) => void;
  readonly backoff: { readonly minMs: number; readonly maxMs: number };
}

/** Keeps one session open. */
export interface Reconnector<S> {
  /** The open session; throws `LibvirtUnavailableError` when there is none. */
  readonly session: () => S;
  readonly state: () => LibvirtClientState;
  /** Resolves when there is a session; rejects with the signal's reason, or `LibvirtUnavailableError` once closed. */
  readonly opened: (signal?: AbortSignal) => Promise<void>;
  readonly close: () => Promise<void>;
}

/**
 * Opens a session and, after each loss, another one, for ever; starts at once. The waits between attempts grow with failures, and also
 * when sessions do not last as long as the longest wait.
 */
export function makeReconnector<S extends Closable>(options: ReconnectorOptions<S>): Reconnector<S> {
  const closing = new AbortController();
  let state: LibvirtClientState = { kind: 'connecting', error: undefined };
  let session: S | undefined;
  let gate = makeGate();
  const running = run();

  async function run(): Promise<void> {
    let again = false;
    let attempt = 0;
    while (!closing.signal.aborted) {
      const next = await tryToOpen();
      if (next !== undefined) {
        const since = performance.now();
        await live(next, again);
        again = true;
        if (performance.now() - since > options.backoff.maxMs) attempt = 0;
      }
      await pause(backoffMs(attempt, options.backoff, Math.random()));
      attempt += 1;
    }
  }

  async function tryToOpen(): Promise<S | undefined> {
    try {
      return await options.open(closing.signal);
    } catch (error) {
      if (!closing.signal.aborted) state = { kind: 'connecting', error: asUnavailable(error) };
      return undefined;
    }
  }

  /** From opened to lost. */
  async function live(next: S, again: boolean): Promise<void> {
    if (closing.signal.aborted) return next.close();
    session = next;
    state = { kind: 'connected' };
    gate.open();
    options.onOpened(next, again);
    const error = asUnavailable(await next.ended);
    session = undefined;
    if (closing.signal.aborted) return;
    state = { kind: 'connecting', error };
    gate = makeGate();
    options.onLost(error);
  }

  async function pause(ms: number): Promise<void> {
    try {
      await delay(ms, undefined, { signal: closing.signal });
    } catch {
      // Closed meanwhile.
    }
  }

  return {
    session() {
      if (session !== undefined) return session;
      if (state.kind === 'closed') throw closedError();
      throw new LibvirtUnavailableError('not connected to libvirtd', { cause: state.kind === 'connecting' ? state.error : undefined });
    },
    state: () => state,
    opened: (signal) => gate.wait(signal),
    async close() {
      state = { kind: 'closed' };
      gate.shut(closedError());
      closing.abort();
      await session?.close();
      await running;
    },
  };
}

/** Something to wait for, once. */
function makeGate(): { open: () => void; shut: (error: Error) => void; wait: (signal?: AbortSignal) => Promise<void> } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => {}); // nobody need be waiting
  return {
    open: resolve,
    shut: reject,
    async wait(signal) {
      signal?.throwIfAborted();
      const aborted = Promise.withResolvers<never>();
      const onAbort = (): void => aborted.reject(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        await Promise.race([promise, aborted.promise]);
      } finally {
        signal?.removeEventListener('abort', onAbort);
      }
    },
  };
}

function closedError(): LibvirtUnavailableError {
  return new LibvirtUnavailableError('this libvirt client is closed');
}

function asUnavailable(error: unknown): LibvirtUnavailableError {
  if (error instanceof LibvirtUnavailableError) return error;
  return new LibvirtUnavailableError(error instanceof Error ? error.message : String(error), { cause: error });
}
