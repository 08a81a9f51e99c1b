import { int, mapped, string, tuple } from './codecs.ts';
import { domain, typedParameters, type Domain, type TypedParameters } from './domain.ts';
import type { Codec } from './xdr.ts';

const lifecycleEvents = [
  'defined',
  'undefined',
  'started',
  'suspended',
  'resumed',
  'stopped',
  'shutdown',
  'pmsuspended',
  'crashed',
] as const;
const ioErrorActions = ['none', 'pause', 'report'] as const;
const agentStates = ['unknown', 'connected', 'disconnected'] as const;

/** virDomainEventType; `unknown` is a number that newer libvirts may have. */
export type LifecycleEvent = (typeof lifecycleEvents)[number] | 'unknown';

/** What each kind of event tells beside its domain. */
type EventBody =
  /** `detail` depends on the event: `stoppedDetail`, `suspendedDetail`, `crashedDetail`. */
  | { readonly kind: 'lifecycle'; readonly event: LifecycleEvent; readonly detail: number }
  /** The guest rebooted; QEMU goes on. */
  | { readonly kind: 'reboot' }
  /** A disk failed; `reason` is `enospc` or empty. */
  | {
      readonly kind: 'ioError';
      readonly path: string;
      readonly device: string;
      readonly action: (typeof ioErrorActions)[number] | 'unknown';
      readonly reason: string;
    }
  /** The guest's agent came or went. */
  | { readonly kind: 'agent'; readonly state: (typeof agentStates)[number]; readonly reason: number }
  /** A device is gone after an unplug was asked for; `device` is its alias. */
  | { readonly kind: 'deviceRemoved'; readonly device: string }
  /** A save, migration or dump has ended. */
  | { readonly kind: 'jobCompleted'; readonly statistics: TypedParameters };

/** An event of one domain. `callbackId` is the registration's number. */
export type DomainEvent = EventBody & { readonly callbackId: number; readonly domain: Domain };

/** Kinds of events. */
export type DomainEventKind = DomainEvent['kind'];

/** How a kind of event is asked for (virDomainEventID), under which procedure number it arrives, and its layout. */
interface EventLayout {
  readonly id: number;
  readonly procedure: number;
  readonly codec: Codec<DomainEvent>;
}

function layout<A extends readonly unknown[]>(
  numbers: { readonly id: number; readonly procedure: number },
  codecs: { readonly [K in keyof A]: Codec<A[K]> },
  body: (...values: A) => EventBody,
): EventLayout {
  const wire = tuple<[number, Domain, A]>(int, domain, tuple<A>(...codecs));
  return { ...numbers, codec: received(wire, ([callbackId, subject, values]) => ({ callbackId, domain: subject, ...body(...values) })) };
}

/** Every kind of event this client knows. */
export const eventLayouts: Readonly<Record<DomainEventKind, EventLayout>> = {
  lifecycle: layout<[number, number]>({ id: 0, procedure: 318 }, [int, int], (event, detail) => ({
    kind: 'lifecycle',
    event: lifecycleEvents[event] ?? 'unknown',
    detail,
  })),
  reboot: layout<[]>({ id: 1, procedure: 319 }, [], () => ({ kind: 'reboot' })),
  ioError: layout<[string, string, number, string]>(
    { id: 6, procedure: 324 },
    [string, string, int, string],
    (path, device, action, reason) => ({
      kind: 'ioError',
      path,
      device,
      action: ioErrorActions[action] ?? 'unknown',
      reason,
    }),
  ),
  agent: layout<[number, number]>({ id: 18, procedure: 348 }, [int, int], (state, reason) => ({
    kind: 'agent',
    state: agentStates[state] ?? 'unknown',
    reason,
  })),
  deviceRemoved: layout<[string]>({ id: 15, procedure: 333 }, [string], (device) => ({ kind: 'deviceRemoved', device })),
  jobCompleted: layout<[TypedParameters]>({ id: 21, procedure: 363 }, [typedParameters], (statistics) => ({
    kind: 'jobCompleted',
    statistics,
  })),
};

/** The codec of the events that arrive under a procedure number of the remote program; `undefined` for one that nobody asked for. */
export function eventCodec(procedure: number): Codec<DomainEvent> | undefined {
  return Object.values(eventLayouts).find((known) => known.procedure === procedure)?.codec;
}

/** A layout that is only ever read. */
function received<W, T>(codec: Codec<W>, fromWire: (wire: W) => T): Codec<T> {
  return mapped<W, T>(
    codec,
    () => {
      throw new TypeError('events are received, never sent');
    },
    fromWire,
  );
}
