import { eventProcedures } from './procedures/events.ts';
import { hostProcedures } from './procedures/host.ts';
import { lifecycleProcedures } from './procedures/lifecycle.ts';
import { lookupProcedures } from './procedures/lookup.ts';
import { metadataProcedures } from './procedures/metadata.ts';
import { bind, type Bound, type Call } from './procedures/procedure.ts';
import { qemuProcedures } from './procedures/qemu.ts';
import { statisticsProcedures } from './procedures/statistics.ts';

const domainProcedures = { ...lifecycleProcedures, ...lookupProcedures, ...statisticsProcedures, ...metadataProcedures } as const;

/**
 * libvirt's calls over one connection. Every function takes an AbortSignal last. Errors: `LibvirtError` (libvirtd refused),
 * `LibvirtUnavailableError`, `LibvirtConnectionLostError`, `LibvirtTimeoutError`, the signal's reason, and `RangeError` for an argument
 * that cannot be sent.
 */
export interface LibvirtCalls {
  readonly host: Bound<typeof hostProcedures>;
  readonly domains: Bound<typeof domainProcedures>;
  readonly qemu: Bound<typeof qemuProcedures>;
  /** Registrations beyond the client's own; they end with the connection. */
  readonly events: Bound<typeof eventProcedures>;
  /** The same calls with another deadline for each, in milliseconds, instead of the client's `callTimeoutMs`. */
  readonly within: (timeoutMs: number) => LibvirtCalls;
}

/** `callWithin` makes the function that sends calls with the given deadline. */
export function makeLibvirtCalls(callWithin: (timeoutMs: number) => Call, timeoutMs: number): LibvirtCalls {
  const call = callWithin(timeoutMs);
  return {
    host: bind(hostProcedures, call),
    domains: bind(domainProcedures, call),
    qemu: bind(qemuProcedures, call),
    events: bind(eventProcedures, call),
    within: (otherTimeoutMs) => makeLibvirtCalls(callWithin, otherTimeoutMs),
  };
}
