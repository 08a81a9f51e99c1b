import type { LibvirtCallGroup } from './call-report.ts';
import { eventProcedures } from './procedures/events.ts';
import { hostProcedures } from './procedures/host.ts';
import { lifecycleProcedures } from './procedures/lifecycle.ts';
import { lookupProcedures } from './procedures/lookup.ts';
import { metadataProcedures } from './procedures/metadata.ts';
import { bind, type Bound, type Call } from './procedures/procedure.ts';
import { qemuProcedures } from './procedures/qemu.ts';
import { statisticsProcedures } from './procedures/statistics.ts';

type DomainProcedures = typeof lifecycleProcedures & typeof lookupProcedures & typeof statisticsProcedures & typeof metadataProcedures;

/**
 * libvirt's calls over one connection. Every function takes an AbortSignal last. Errors: `LibvirtError` (libvirtd refused),
 * `LibvirtUnavailableError`, `LibvirtConnectionLostError`, `LibvirtTimeoutError`, the signal's reason, and `RangeError` for an argument
 * that cannot be sent.
 */
export interface LibvirtCalls {
  readonly host: Bound<typeof hostProcedures>;
  readonly domains: Bound<DomainProcedures>;
  readonly qemu: Bound<typeof qemuProcedures>;
  /** Registrations beyond the client's own; they end with the connection. */
  readonly events: Bound<typeof eventProcedures>;
  /** The same calls with another deadline for each, in milliseconds, instead of the client's `callTimeoutMs`. */
  readonly within: (timeoutMs: number) => LibvirtCalls;
}

/** `callWithin` makes the function that sends the calls of a group with the given deadline. */
export function makeLibvirtCalls(callWithin: (group: LibvirtCallGroup, timeoutMs: number) => Call, timeoutMs: number): LibvirtCalls {
  const group = <G extends object>(name: LibvirtCallGroup, procedures: G): Bound<G> => bind(procedures, callWithin(name, timeoutMs));
  return {
    host: group('host', hostProcedures),
    domains: {
      ...group('lifecycle', lifecycleProcedures),
      ...group('lookup', lookupProcedures),
      ...group('statistics', statisticsProcedures),
      ...group('metadata', metadataProcedures),
    },
    qemu: group('qemu', qemuProcedures),
    events: group('events', eventProcedures),
    within: (otherTimeoutMs) => makeLibvirtCalls(callWithin, otherTimeoutMs),
  };
}
