import { abandonOnAbort, linkedController, pause } from '../../lib/signals.ts';
import { PullProblem } from '../failures.ts';
import type { Validators } from '../http/validators.ts';
import type { Followed, Follower } from '../layer/follower.ts';
import { usualBackoff } from './backoff.ts';
import { beginFetch, type Beginning } from './begin-fetch.ts';
import { makeBlobFile } from './blob-file.ts';
import type { BlobSource } from './blob-source.ts';
import { bringSegments } from './bring-segments.ts';
import { prefixOf, sizeOf } from './intervals.ts';
import { fits, type Journal } from './journal.ts';
import { keepJournal } from './journal-keeper.ts';
import type { PartialFile } from './partial.ts';
import { makeRetries, type Retries, type RetryDeps, type RetryNotice, type RetryOptions } from './retries.ts';
import { StartOver } from './start-over.ts';

/** What to bring, and within which bounds. */
export interface FetchRequest {
  readonly source: BlobSource;
  /** `sha256:<64 hex>` of the blob as it comes. */
  readonly expectedDigest?: string | undefined;
  /** The blob's size, bytes; another is refused. */
  readonly expectedBytes?: number | undefined;
  /** Of the bytes in the store, to be told when they are current. */
  readonly unlessCurrent?: Validators | undefined;
  /** Largest blob, bytes (`images.maxBytes`). */
  readonly maxBytes: number;
  /** Longest time without a byte, milliseconds. */
  readonly stallTimeoutMs: number;
  /** Most connections at a time; default 4. */
  readonly connections?: number | undefined;
  /** Bytes of one request; default 32 MiB. */
  readonly segmentBytes?: number | undefined;
  /** Whether the file itself stays, and is to be durable soon; default true. What is only unpacked from need not reach the disk. */
  readonly isKept?: boolean | undefined;
  /** Milliseconds between journals, each of which makes the disk write what it has; default 10 000. */
  readonly journalEveryMs?: number | undefined;
  /** Default: 5 attempts in a row without a byte, up to 1 s after the first and 30 s after the last, up to 5 minutes where the server asks. */
  readonly retry?: Partial<RetryOptions> | undefined;
}

/** What a download works with. */
export interface FetchDeps {
  /** Where the blob goes. The caller discards it after any failure, unless the partial is to be kept, and when the blob is in its place. */
  readonly partial: PartialFile;
  /** Begins to follow the partial file from its beginning; called again, after the former is disposed, when the download begins anew. */
  readonly startFollower: () => Follower;
  /** Throws when so many bytes more cannot be stored; asked before the first is. */
  readonly reserve: (bytes: number) => Promise<void>;
  /** Whether what is here is to be taken up later, given why the download ends (the signal's reason or the error): then it is made durable first. Default: never. */
  readonly keepsPartial?: ((reason: unknown) => boolean) | undefined;
  /** Looks at the first bytes, without keeping them, and throws when they cannot be a disk. */
  readonly onBeginning?: ((bytes: Uint8Array) => void) | undefined;
  /** How many bytes of the blob are here, and of how many; falls when the download begins anew. */
  readonly onProgress?: ((haveBytes: number, totalBytes: number | undefined) => void) | undefined;
  /** Bytes from the network with each chunk, those that come twice included. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
  /** Bytes that an earlier run brought, before the first comes. */
  readonly onResumed?: ((bytes: number) => void) | undefined;
  readonly onRetry?: ((notice: RetryNotice) => void) | undefined;
  readonly random?: RetryDeps['random'] | undefined;
  readonly now?: RetryDeps['now'] | undefined;
  readonly wait?: RetryDeps['wait'] | undefined;
}

/** What came of it. The file is written but not synced. */
export type FetchedBlob =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'received'; readonly followed: Followed; readonly sizeBytes: number; readonly validators: Validators };

const usualRetry: RetryOptions = { ...usualBackoff, maxAttempts: 5 };
const usualSegmentBytes = 32 * 2 ** 20;
/** What a kill may cost; a fast pull is over before the first one. */
const usualJournalEveryMs = 10_000;

/**
 * Brings a blob into a partial file, in pieces over several connections where the server does ranges, while a follower reads its beginning. A cut
 * connection goes on at the very byte; a download that an earlier process began is taken up from its journal. Begins anew when the blob changed
 * meanwhile (once), or when a cut leaves bytes of which nothing tells whether the rest belongs to them. Throws `PullProblem`, what the follower or
 * `onBeginning` found, the disk's system error or the signal's reason; nothing is read or written after that.
 */
export async function fetchBlob(request: FetchRequest, deps: FetchDeps, signal: AbortSignal): Promise<FetchedBlob> {
  const { partial } = deps;
  const retry = { ...usualRetry, ...request.retry };
  const { random = Math.random, now = () => performance.now(), wait = pause, onRetry } = deps;
  const retries = makeRetries(retry, { random, now, wait, onRetry });
  const { expectedDigest, expectedBytes } = request;
  const found = await partial.readJournal();
  let journal = found && fits(found, { expectedDigest, totalBytes: expectedBytes, maxBytes: request.maxBytes }) ? found : undefined;
  const times = { stale: 0, changed: 0, cut: 0 };
  const most = { stale: 1, changed: 1, cut: retry.maxAttempts - 1 };
  for (;;) {
    if (!journal) await partial.empty();
    try {
      return await runOnce(request, deps, { journal, retries }, signal);
    } catch (error) {
      if (!(error instanceof StartOver)) throw error;
      const { why, problem } = error;
      times[why] += 1;
      if (times[why] > most[why]) throw problem;
      await retries.pause(problem, why === 'cut' ? times.cut : 0, signal);
      journal = undefined;
    }
  }
}

interface Start {
  readonly journal: Journal | undefined;
  readonly retries: Retries;
}

async function runOnce(request: FetchRequest, deps: FetchDeps, start: Start, signal: AbortSignal): Promise<FetchedBlob> {
  const { source, expectedDigest, unlessCurrent, stallTimeoutMs, segmentBytes = usualSegmentBytes } = request;
  const checkSize = (bytes: number): void => checkTotal(request, bytes);
  const question = { source, expectedDigest, unlessCurrent, stallTimeoutMs, segmentBytes, checkTotal: checkSize };
  const beginning = await beginFetch(question, start.journal, start.retries, signal);
  if (beginning.kind === 'unchanged') return beginning;
  await using opened = beginning.opened;
  const { totalBytes, validators } = beginning.identity;
  opened?.watch.pause();
  await deps.reserve((totalBytes ?? request.expectedBytes ?? 0) - sizeOf(beginning.have));
  opened?.watch.touch();
  const followed = await bringAndFollow(request, deps, { ...start, beginning }, signal);
  const { digest, sizeBytes } = followed.blob;
  if (expectedDigest === undefined || digest === expectedDigest) return { kind: 'received', followed, sizeBytes, validators };
  const problem = new PullProblem('digest', `the bytes of ${source.name} have the digest ${digest}, not ${expectedDigest}`);
  throw start.journal ? new StartOver('stale', problem) : problem;
}

async function bringAndFollow(
  request: FetchRequest,
  deps: FetchDeps,
  { beginning, retries }: Start & { readonly beginning: Beginning },
  signal: AbortSignal,
): Promise<Followed> {
  const { partial, keepsPartial } = deps;
  const { have, identity, resumption, segments, opened } = beginning;
  const { source, stallTimeoutMs } = request;
  using ending = linkedController(signal);
  await using follower = deps.startFollower();
  follower.failed.catch((error: unknown) => ending.abort(error));
  const blob = makeBlobFile(partial.file, have, follower.advance, request.isKept === false ? Infinity : undefined);
  await using journal = keepJournal(
    { partial, blob, identity: () => identity },
    request.journalEveryMs ?? usualJournalEveryMs,
    ending.abort,
  );
  let haveBytes = sizeOf(have);
  const onChunk = (bytes: number, newBytes: number): void => {
    deps.onBytes?.(bytes);
    haveBytes += newBytes;
    deps.onProgress?.(haveBytes, identity.totalBytes);
  };
  if (haveBytes > 0) deps.onResumed?.(haveBytes);
  if (prefixOf(have) > 0) follower.advance(prefixOf(have));
  try {
    const checkSize = (bytes: number): void => checkPart(request, bytes);
    const onBeginning = (bytes: Uint8Array): void => deps.onBeginning?.(bytes);
    const run = { source, blob, retries, identity, resumption, stallTimeoutMs, checkSize, onChunk, onBeginning, ending };
    await bringSegments(run, segments, opened, request.connections ?? 4);
    await blob.settled();
    const sizeBytes = prefixOf(blob.written());
    checkTotal(request, sizeBytes);
    return await abandonOnAbort(follower.finish(sizeBytes), ending.signal);
  } catch (error) {
    const reason: unknown = ending.signal.aborted ? ending.signal.reason : error;
    if (!(reason instanceof StartOver) && keepsPartial?.(reason) === true) {
      await journal.writeNow().catch(() => undefined); // then the one before counts
    }
    throw reason;
  }
}

function checkPart({ source, maxBytes, expectedBytes }: FetchRequest, bytes: number): void {
  if (bytes > maxBytes) throw new PullProblem('too-large', `${source.name} is larger than images.maxBytes allows (${maxBytes})`);
  if (expectedBytes !== undefined && bytes > expectedBytes)
    throw new PullProblem('too-many-bytes', `${source.name} has more than the ${expectedBytes} bytes that its image says`);
}

function checkTotal(request: FetchRequest, bytes: number): void {
  checkPart(request, bytes);
  const { source, expectedBytes } = request;
  if (expectedBytes !== undefined && bytes < expectedBytes)
    throw new PullProblem('too-few-bytes', `${source.name} has ${bytes} bytes, not the ${expectedBytes} that its image says`, {
      registryAway: false,
    });
}
