import type { Duplex } from 'node:stream';
import { reported } from './call-report.ts';
import { makeLibvirtCalls, type LibvirtCalls } from './calls.ts';
import type { DomainRef } from './domain.ts';
import type { LibvirtUnavailableError } from './errors.ts';
import type { DomainEvent } from './events.ts';
import { makeListeners } from './listeners.ts';
import { openStream } from './open-stream.ts';
import { compileOptions, type LibvirtClientOptions } from './options.ts';
import type { Call } from './procedures/procedure.ts';
import { streamProcedures } from './procedures/streams.ts';
import { makeReconnector, type LibvirtClientState } from './reconnect.ts';
import { openSession, type Session } from './session.ts';

export {
  isLibvirtError,
  isNoAnswer,
  LibvirtConnectionLostError,
  LibvirtError,
  LibvirtProtocolError,
  LibvirtTimeoutError,
  LibvirtUnavailableError,
} from './errors.ts';
export { libvirtNumbers } from './numbers.ts';
/** @public Types of arguments and answers. */
export type { LibvirtCallGroup, LibvirtCallOutcome, LibvirtCallReport } from './call-report.ts';
/** @public */
export type { LibvirtCalls } from './calls.ts';
/** @public */
export type { Domain, DomainRef, TypedParameters, TypedValue } from './domain.ts';
/** @public */
export type { DomainEvent, DomainEventKind, LifecycleEvent } from './events.ts';
/** @public */
export type { LibvirtClientOptions } from './options.ts';
/** @public */
export type { DomainCapabilitiesQuery, NodeInfo } from './procedures/host.ts';
/** @public */
export type { DomainInfo, DomainState, DomainStatus } from './procedures/lookup.ts';
/** @public */
export type { MetadataChange, MetadataQuery } from './procedures/metadata.ts';
/** @public */
export type { DomainStatistics } from './procedures/statistics.ts';
/** @public */
export type { LibvirtClientState } from './reconnect.ts';

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

/** Starts to connect at once, in the background, and never gives up until it is closed; throws nothing. */
export function makeLibvirtClient(options: LibvirtClientOptions): LibvirtClient {
  const settings = compileOptions(options);
  const listeners = makeListeners<LibvirtClientEvents>();
  const reconnector = makeReconnector<Session>({
    open: (signal) => openSession(settings, settings.events, signal),
    onOpened(session, again) {
      listeners.emit('connected', { again });
      session.deliverEvents((event) => listeners.emit('event', event));
    },
    onLost: (error) => listeners.emit('disconnected', error),
    backoff: settings.reconnect,
  });
  const callsOver = (which: 'control' | 'query'): LibvirtCalls =>
    makeLibvirtCalls(
      (group, timeoutMs): Call =>
        async (target, args, signal) =>
          reported(settings, { connection: which, group }, signal, async () =>
            reconnector.session()[which].call(target, args, { timeoutMs, signal }),
          ),
      settings.callTimeoutMs,
    );
  const open =
    (target: (typeof streamProcedures)[keyof typeof streamProcedures]): LibvirtClient['openConsole'] =>
    async (domain, device, flags, signal) =>
      reported(settings, { connection: 'stream', group: 'streams' }, signal, async () =>
        openStream(settings, reconnector.session(), { target, args: [domain, device, flags] }, signal),
      );
  return {
    control: callsOver('control'),
    query: callsOver('query'),
    state: reconnector.state,
    connected: reconnector.opened,
    on: listeners.on,
    openConsole: open(streamProcedures.openConsole),
    openChannel: open(streamProcedures.openChannel),
    close: reconnector.close,
  };
}
