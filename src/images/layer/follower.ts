import type { Wrapping } from './wrapping.ts';

/** A digest with the number of bytes that have it. */
export interface Digested {
  /** `sha256:<64 hex>` */
  readonly digest: string;
  readonly sizeBytes: number;
}

/** What a follower found. */
export interface Followed {
  /** The blob as it came. */
  readonly blob: Digested;
  /** The disk that was in it, written to `diskFile`; the blob itself where it is bare; `undefined` for a layer without a disk. */
  readonly disk: Digested | undefined;
}

/** What is followed, and into which file the disk goes. */
export interface FollowRequest {
  /** The blob, which others write from its beginning on or in pieces. */
  readonly blobFile: string;
  /** Made (0600) for a blob that is not bare; must not exist. Not synced. */
  readonly diskFile: string;
  readonly wrapping: Wrapping;
  /** Largest disk, bytes: what unpacks to more is refused at once. */
  readonly maxDiskBytes: number;
  /** Largest ratio of unpacked to packed bytes, counted after the first 64 MiB. */
  readonly maxRatio?: number;
}

/**
 * Hashes and unpacks a blob in a thread of its own while it is being written: it reads the beginning that is there, so that neither memory nor a
 * second pass is needed, whatever order the bytes come in, and a download that is taken up again is hashed from the file.
 */
export interface Follower extends AsyncDisposable {
  /** The blob's first `bytes` bytes are in the file. Only grows. */
  readonly advance: (bytes: number) => void;
  /** The blob is whole with `totalBytes`. Answers when all is hashed and unpacked; throws as `failed`. */
  readonly finish: (totalBytes: number) => Promise<Followed>;
  /** Rejects as soon as the blob is seen to be bad, so that the download can end: `Refusal`, `PullProblem` or the disk's system error. Never resolves. */
  readonly failed: Promise<never>;
}
