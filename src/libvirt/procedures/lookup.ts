import { int, list, mapped, string, struct, uhyper, uint } from '../codecs.ts';
import { domain, domainRef, domainUuid, type Domain, type DomainRef } from '../domain.ts';
import type { Codec } from '../xdr.ts';
import { procedure } from './procedure.ts';

const states = ['nostate', 'running', 'blocked', 'paused', 'shutdown', 'shutoff', 'crashed', 'pmsuspended'] as const;

/** virDomainState; `unknown` is a number that newer libvirts may have. `shutdown` is being shut down, `shutoff` is off. */
export type DomainState = (typeof states)[number] | 'unknown';

/** virDomainGetState: `reason` is a number whose meaning depends on the state (`shutoffReason`, `pausedReason`). */
export interface DomainStatus {
  readonly state: DomainState;
  readonly reason: number;
}

/** virDomainInfo. */
export interface DomainInfo {
  readonly state: DomainState;
  readonly maxMemoryKiB: bigint;
  readonly memoryKiB: bigint;
  readonly vcpus: number;
  readonly cpuTimeNs: bigint;
}

/** The state's number, unsigned in some messages and signed in others, as its name. */
function stateCodec(codec: Codec<number>): Codec<DomainState> {
  return mapped(
    codec,
    (state) => (state === 'unknown' ? states.length : states.indexOf(state)),
    (number) => states[number] ?? 'unknown',
  );
}

const info = struct<DomainInfo>({ state: stateCodec(uint), maxMemoryKiB: uhyper, memoryKiB: uhyper, vcpus: uint, cpuTimeNs: uhyper });

/** Asks for the domains themselves, not only how many there are. */
const listArgs = mapped(
  struct<{ needResults: number; flags: number }>({ needResults: int, flags: uint }),
  (flags: number) => ({ needResults: 1, flags }),
  ({ flags }) => flags,
);
const listResult = mapped(
  struct<{ domains: readonly Domain[]; count: number }>({ domains: list(domain), count: uint }),
  (domains: readonly Domain[]) => ({ domains, count: domains.length }),
  ({ domains }) => domains,
);

/** Finds domains and asks how they are. */
export const lookupProcedures = {
  lookupByName: procedure<[name: string], Domain>(23, [string], domain),
  lookupByUuid: procedure<[uuid: string], Domain>(24, [domainUuid], domain),
  /** All domains, filtered by `domainListFlag`. */
  list: procedure<[flags: number], readonly Domain[]>(273, [listArgs], listResult),
  /** Flags: 0. */
  state: procedure<[domain: DomainRef, flags: number], DomainStatus>(
    212,
    [domainRef, uint],
    struct<DomainStatus>({ state: stateCodec(int), reason: int }),
  ),
  info: procedure<[domain: DomainRef], DomainInfo>(16, [domainRef], info),
  /** Domain XML; `domainXmlFlag`. */
  xml: procedure<[domain: DomainRef, flags: number], string>(14, [domainRef, uint], string),
} as const;
