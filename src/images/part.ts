import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { randomId } from '../lib/ids.ts';
import type { Log } from '../lib/log.ts';
import type { Validators } from './http/validators.ts';
import { followBlob } from './layer/follow.ts';
import type { Digested, Follower } from './layer/follower.ts';
import { isBare } from './layer/wrapping.ts';
import type { PartialFiles } from './partial-files.ts';
import { countPending, type PullHooks } from './pull-hooks.ts';
import { fetchBlob, type FetchRequest } from './transfer/fetch-blob.ts';
import { throttleProgress, type PullProgress } from './transfer/progress.ts';
import type { Part } from './wanted.ts';

/** One blob to bring. */
export interface PartRequest {
  /** The reference as the caller wrote it, for logs and progress. */
  readonly text: string;
  readonly part: Part;
  /** Digest that the blob must have. */
  readonly blobDigest: string | undefined;
  readonly unlessCurrent: Validators | undefined;
  /** Whether it is all that the pull brings: then the blob is kept until the disk is in the store, for a daemon that ends meanwhile. */
  readonly isAlone: boolean;
}

/** What was in a blob; disposing removes what is still in the ingest directory. */
export type FetchedPart =
  | ({ readonly kind: 'unchanged' } & AsyncDisposable)
  | ({
      readonly kind: 'received';
      readonly validators: Validators;
      /** `undefined`: a layer without a disk. */
      readonly disk: { readonly file: string; readonly digested: Digested } | undefined;
    } & AsyncDisposable);

/**
 * Brings a blob and unpacks the disk in it, into the ingest directory. On failure nothing is left, but when the daemon ends: then it is taken up later.
 * INVARIANT: who brings several layers has the blob of one at a time, not those of which the disk is unpacked, so that two pulls of the same layers in another
 * order, or of one layer twice, never wait for each other.
 */
export type FetchPart = (request: PartRequest, signal: AbortSignal) => Promise<FetchedPart>;

/** Bounds of one download. Sizes in bytes. */
export interface PartOptions {
  readonly ingestDir: string;
  readonly maxBytes: number;
  readonly stallTimeoutMs: number;
  readonly connections: number;
  /** When to try again; see `FetchRequest.retry`. */
  readonly retry?: FetchRequest['retry'];
}

/** What it works with. */
export interface PartDeps {
  readonly partials: PartialFiles;
  /** Throws DISK_FULL when so many bytes more should not be stored. */
  readonly reserve: (bytes: number) => Promise<void>;
  /** Whether a download that ends for this reason is taken up by the next start. */
  readonly isClosing: (reason: unknown) => boolean;
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
  readonly hooks: PullHooks;
  readonly log: Log;
}

/** Makes the bringer. */
export function makeFetchPart(options: PartOptions, deps: PartDeps): FetchPart {
  const { ingestDir, ...bounds } = options;
  const { partials, reserve, isClosing, hooks, log } = deps;

  return async ({ text, part, blobDigest, unlessCurrent, isAlone }, signal) => {
    await using left = new AsyncDisposableStack();
    await using meanwhile = new AsyncDisposableStack();
    const bare = isBare(part.wrapping);
    const holder = bare || isAlone ? left : meanwhile;
    const partial = holder.use(await partials.open(part.partialKey, signal));
    const isKept = (): boolean => signal.aborted && isClosing(signal.reason);
    holder.defer(async () => {
      const isOfUse = isKept() && (await partial.readJournal()) !== undefined;
      if (!isOfUse) await partial.discard();
    });
    let diskFile = partial.path;
    const startFollower = (): Follower => {
      if (!bare) diskFile = join(ingestDir, `${randomId()}.disk`); // another one for each beginning
      const unpacked = diskFile;
      if (!bare) left.defer(async () => rm(unpacked, { force: true }));
      return followBlob({ blobFile: partial.path, diskFile, wrapping: part.wrapping, maxDiskBytes: bounds.maxBytes }, signal);
    };
    using pending = countPending(hooks);
    const show = deps.onProgress && throttleProgress(text, deps.onProgress);
    const fetched = await fetchBlob(
      {
        source: part.source,
        expectedDigest: blobDigest,
        expectedBytes: part.expected?.sizeBytes,
        unlessCurrent,
        isKept: bare,
        ...bounds,
        stallTimeoutMs: part.stallTimeoutMs ?? bounds.stallTimeoutMs,
      },
      {
        partial,
        startFollower,
        reserve,
        keepsPartial: isKept,
        onProgress: (haveBytes, totalBytes) => {
          pending.progress(haveBytes, totalBytes);
          show?.(haveBytes, totalBytes);
        },
        onBytes: hooks.onBytes,
        onResumed: (bytes) => log.info({ reference: text, bytes }, 'download taken up where an earlier run left it'),
        onRetry: ({ problem, delayMs }) => log.warn({ reference: text, problem: problem.message, delayMs }, 'download is tried again'),
      },
      signal,
    );
    await meanwhile.disposeAsync();
    const ends = left.move();
    const dispose = async (): Promise<void> => ends.disposeAsync();
    if (fetched.kind === 'unchanged') return { kind: 'unchanged', [Symbol.asyncDispose]: dispose };
    const { disk: digested } = fetched.followed;
    const disk = digested && { file: diskFile, digested };
    return { kind: 'received', validators: fetched.validators, disk, [Symbol.asyncDispose]: dispose };
  };
}
