import type { LibvirtCallReport } from './call-report.ts';
import { eventLayouts, type DomainEventKind } from './events.ts';
import { libvirtMaxFrameBytes } from './protocol.ts';

/** How to reach libvirtd and how patient to be. */
export interface LibvirtClientOptions {
  /** libvirtd's (or virtqemud's) unix socket; it need not be there yet. */
  readonly socketPath: string;
  /** What to open there, such as `qemu:///system` (the default) or `test:///default`. */
  readonly uri?: string;
  /** Kinds of events to register for at every connect. Default: all that `DomainEvent` knows. */
  readonly events?: readonly DomainEventKind[];
  /** How long a call waits for its answer, in milliseconds. Default 30,000; `calls.within(ms)` sets another one. */
  readonly callTimeoutMs?: number;
  /** How long one attempt to connect may take, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** Wait before the next attempt to connect, in milliseconds: doubles from `minMs` to `maxMs`, less up to half at random. Default 100 and 2,000. */
  readonly reconnect?: { readonly minMs: number; readonly maxMs: number };
  /** Pings after `intervalMs` of each period; after `count` of them without a sign of life the connection is given up. Default 5,000 and 5, as libvirtd's own. */
  readonly keepalive?: { readonly intervalMs: number; readonly count: number };
  /** Largest message in each direction, in bytes. Default (and libvirt's own bound): 32 MiB and 4 bytes. */
  readonly maxMessageBytes?: number;
  /** Told, synchronously, of each call before it is sent; for counting. Must not throw. */
  readonly onCallStarted?: () => void;
  /** Told of each call once, when its outcome is known. Must not throw. */
  readonly onCall?: (report: LibvirtCallReport) => void;
}

/** All options, none of them absent. */
export type CompiledOptions = Required<LibvirtClientOptions>;

/** Fills in the defaults. */
export function compileOptions(options: LibvirtClientOptions): CompiledOptions {
  return {
    uri: 'qemu:///system',
    events: Object.keys(eventLayouts) as readonly DomainEventKind[],
    callTimeoutMs: 30_000,
    connectTimeoutMs: 10_000,
    reconnect: { minMs: 100, maxMs: 2000 },
    keepalive: { intervalMs: 5000, count: 5 },
    maxMessageBytes: libvirtMaxFrameBytes,
    onCallStarted: () => {},
    onCall: () => {},
    ...options,
  };
}
