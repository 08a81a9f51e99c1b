import type { Log } from '../lib/log.ts';
import type { Records } from '../records/records.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import type { CniCache } from './cni/cache.ts';
import type { CniDirectory } from './cni/directory.ts';
import type { Cni } from './cni/cni.ts';
import type { Dhcp } from './dhcp/dhcp.ts';
import type { Ipv6Warnings } from './ipv6-warnings.ts';
import type { Namespaces } from './netns.ts';
import type { Releases } from './releases.ts';
import type { RecognitionDeps } from './sriov/recognition.ts';

/** What the room's use cases work with; built once by `openParts`. */
export interface Parts {
  readonly records: Records<AttachmentRecord>;
  readonly namespaces: Namespaces;
  readonly cni: Cni;
  readonly cache: CniCache;
  readonly directory: CniDirectory;
  readonly dhcp: Dhcp;
  /** SR-IOV virtual functions. */
  readonly functions: RecognitionDeps & {
    /** Longest wait for one that comes back, milliseconds. */
    readonly waitMs: number;
  };
  /** Whether frames of guests are dropped whose sender is not theirs. */
  readonly antiSpoofing: boolean;
  readonly warnOfIpv6: Ipv6Warnings;
  /** Releases beside what calls do, until it succeeds. */
  readonly releases: Pick<Releases, 'later' | 'now'>;
  /** Aborts with the end of the daemon. */
  readonly closing: AbortSignal;
  readonly log: Log;
}
