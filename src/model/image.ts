/** How a disk's bytes are to be read; named by configuration or media type, never probed, never from a pod. */
export type DiskFormat = 'qcow2' | 'raw';

/** An image that is complete in the store. */
export interface Image {
  /** `sha256:<64 hex>` over format and digest: one string in PullImage, ListImages and container status. */
  readonly id: string;
  /** Digest of the disk's bytes, `sha256:<64 hex>`. */
  readonly digest: string;
  readonly format: DiskFormat;
  /** The base image in the store: root 0644, immutable. */
  readonly path: string;
  /** Length of the disk's file, bytes. */
  readonly sizeBytes: number;
  /** Bytes that it takes on the node: less than its length where it has holes. */
  readonly allocatedBytes: number;
  /** Bytes that the guest sees. */
  readonly virtualSizeBytes: number;
  /** Names with tag that lead to it, as a kubelet expects them in `repo_tags`. */
  readonly repoTags: readonly string[];
  /** `name@sha256:...` for `repo_digests`. */
  readonly repoDigests: readonly string[];
  /** A kubelet shall not collect it (`images.pinned`). */
  readonly pinned: boolean;
}
