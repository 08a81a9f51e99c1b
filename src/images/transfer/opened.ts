import { watchForStall, type StallWatch } from '../http/stall-watch.ts';
import type { BlobBody, BlobRequest, BlobSource } from './blob-source.ts';

/** An answer on its way, under a stall watch; disposing it drops what was not read. */
export interface Opened extends AsyncDisposable {
  readonly body: BlobBody;
  readonly watch: StallWatch;
}

/** Asks a source; `stallTimeoutMs` without an answer, and later without a byte, is a `PullProblem` of kind `stalled`. */
export async function openWatched(
  source: BlobSource,
  request: BlobRequest,
  stallTimeoutMs: number,
  signal: AbortSignal,
): Promise<Opened | { readonly kind: 'unchanged' }> {
  const watch = watchForStall(stallTimeoutMs, source.name, signal);
  try {
    watch.signal.throwIfAborted();
    const answer = await source.open(request, watch.signal);
    if (answer.kind === 'unchanged') {
      watch[Symbol.dispose]();
      return answer;
    }
    watch.touch();
    return {
      body: answer,
      watch,
      [Symbol.asyncDispose]: async () => {
        watch[Symbol.dispose]();
        await answer.chunks[Symbol.asyncIterator]()
          .return?.()
          .catch(() => undefined); // what it threw at its end was told to its reader
      },
    };
  } catch (error) {
    watch[Symbol.dispose]();
    throw watch.signal.aborted ? watch.signal.reason : error;
  }
}
