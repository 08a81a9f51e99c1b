import type { Duplex } from 'node:stream';
import type { LibvirtCalls } from './calls.ts';
import type { DomainRef } from './domain.ts';
import type { LibvirtUnavailableError } from './errors.ts';
import type { DomainEvent } from './events.ts';

export type { LibvirtCalls } from './calls.ts';
export type { Domain, DomainRef, TypedParameters, TypedValue } from './domain.ts';
export {
  isLibvirtError,
  isNoAnswer,
  LibvirtConnectionLostError,
  LibvirtError,
  LibvirtProtocolError,
  LibvirtTimeoutError,
  LibvirtUnavailableError,
} from './errors.ts';
export type { DomainEvent, DomainEventKind, LifecycleEvent } from './events.ts';
export * as libvirtNumbers from './flags.ts';
export type { LibvirtClientOptions } from './options.ts';
export type { DomainCapabilitiesQuery, NodeInfo } from './procedures/host.ts';
export type { DomainInfo, DomainState, DomainStatus } from './procedures/lookup.ts';
export type { MetadataChange, MetadataQuery } from './procedures/metadata.ts';
export type { DomainStatistics } from './procedures/statistics.ts';

/** Where a client is. `connecting` covers the waits between attempts; `error` says why the last one failed. */
export type LibvirtClientState =
  | { readonly kind: 'connecting'; readonly error: LibvirtUnavailableError | undefined }
  | { readonly kind: 'connected' }
  | { readonly kind: 'closed' };

/** What a client tells its listeners. */
export interface LibvirtClientEvents {
  /** Something happened to a domain; in libvirtd's order. */
  readonly event: (event: DomainEvent) => void;
  /** Connected, events registered; `again` after a loss: events may have been missed, so list again. Comes before the connection's first event. */
  readonly connected: (facts: { readonly again: boolean }) => void;
  /** The connection is lost, for the reason in the error's `cause`; attempts to connect follow by themselves. */
  readonly disconnected: (error: LibvirtUnavailableError) => void;
}

/** A connection to libvirtd that mends itself. While it is away, calls fail at once with `LibvirtUnavailableError`. */
export interface LibvirtClient {
  /** For calls that may take long: define, create, destroy, agent. */
  readonly control: LibvirtCalls;
  /** For calls that answer at once: lists, states, XML. A connection of its own, since libvirtd serves few calls of one at a time. */
  readonly query: LibvirtCalls;
  readonly state: () => LibvirtClientState;
  /** Resolves when connected; rejects with the signal's reason, or `LibvirtUnavailableError` after `close`. */
  readonly connected: (signal?: AbortSignal) => Promise<void>;
  /** Answers the function that unsubscribes. */
  readonly on: <E extends keyof LibvirtClientEvents>(name: E, listener: LibvirtClientEvents[E]) => () => void;
  /**
   * A domain's serial console, over a connection of its own that ends with the stream: what is not read stays in the guest. `device` is an
   * alias; `undefined` is the first console. Flags: `domainConsoleFlag`.
   */
  readonly openConsole: (domain: DomainRef, device: string | undefined, flags: number, signal?: AbortSignal) => Promise<Duplex>;
  /** The same for a virtio channel of that name. Flags: `domainChannelFlag`. */
  readonly openChannel: (domain: DomainRef, name: string | undefined, flags: number, signal?: AbortSignal) => Promise<Duplex>;
  /** Ends all connections, streams and attempts. Pending calls fail with `LibvirtConnectionLostError`. */
  readonly close: () => Promise<void>;
}
