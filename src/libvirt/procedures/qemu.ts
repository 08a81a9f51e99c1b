import { int, optional, string, uint } from '../codecs.ts';
import { domainRef, type DomainRef } from '../domain.ts';
import { qemuProcedure } from './procedure.ts';

/** What only QEMU domains have. Both taint the domain in libvirt's log. */
export const qemuProcedures = {
  /** A command (JSON) for the monitor; `monitorFlag`. */
  monitorCommand: qemuProcedure<[domain: DomainRef, command: string, flags: number], string>(1, [domainRef, string, uint], string),
  /** A command (JSON) for the guest's agent, and its reply, which is the guest's word. `timeoutSeconds`: `agentTimeout`. Flags: 0. */
  agentCommand: qemuProcedure<[domain: DomainRef, command: string, timeoutSeconds: number, flags: number], string | undefined>(
    3,
    [domainRef, string, int, uint],
    optional(string),
  ),
} as const;
