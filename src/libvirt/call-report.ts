import { isNoAnswer, LibvirtError, LibvirtTimeoutError } from './errors.ts';

/** Which part of libvirt's protocol a call belongs to. */
export type LibvirtCallGroup = 'host' | 'lifecycle' | 'lookup' | 'statistics' | 'metadata' | 'qemu' | 'events' | 'streams';

/**
 * How a call ended: `refused` by libvirtd's error, `timeout` without an answer in time, `disconnected` with or for lack of a connection,
 * `aborted` by its signal, `invalid` when its arguments cannot be sent.
 */
export type LibvirtCallOutcome = 'ok' | 'refused' | 'timeout' | 'disconnected' | 'aborted' | 'invalid';

/** One call that has ended. */
export interface LibvirtCallReport {
  readonly connection: 'control' | 'query' | 'stream';
  readonly group: LibvirtCallGroup;
  readonly outcome: LibvirtCallOutcome;
  readonly seconds: number;
}

/** Who is told of calls. */
export interface CallListener {
  readonly onCallStarted: () => void;
  readonly onCall: (report: LibvirtCallReport) => void;
}

/** Makes a call and tells of it. */
export async function reported<T>(
  listener: CallListener,
  kind: Pick<LibvirtCallReport, 'connection' | 'group'>,
  signal: AbortSignal | undefined,
  call: () => Promise<T>,
): Promise<T> {
  const start = performance.now();
  const tell = (outcome: LibvirtCallOutcome): void => listener.onCall({ ...kind, outcome, seconds: (performance.now() - start) / 1_000 });
  listener.onCallStarted();
  try {
    const answer = await call();
    tell('ok');
    return answer;
  } catch (error) {
    tell(outcomeOf(error, signal));
    throw error;
  }
}

/** The outcome of a call that failed. */
export function outcomeOf(error: unknown, signal: AbortSignal | undefined): LibvirtCallOutcome {
  if (error instanceof LibvirtError) return 'refused';
  if (error instanceof LibvirtTimeoutError) return 'timeout';
  if (isNoAnswer(error)) return 'disconnected';
  return signal?.aborted === true && error === signal.reason ? 'aborted' : 'invalid';
}
