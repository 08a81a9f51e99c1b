import type { ForeignFormat } from '../../../src/images/door/foreign-header.ts';
import type { DiskFormat } from '../../../src/model/image.ts';

/** A file that somebody crafted, or damaged, and what becomes of it at the door. */
export interface HostileDisk {
  readonly name: string;
  /** As what it is published. */
  readonly format: DiskFormat | ForeignFormat;
  readonly make: () => Buffer;
  /** The rule that refuses it, or `passed`. */
  readonly rule: string;
  /** Why it may pass. */
  readonly because?: string;
  /** The file's length where it is longer than its bytes: a hole follows them. */
  readonly fileBytes?: number;
}
