import { list, struct, uint } from '../codecs.ts';
import { domain, domainRef, typedParameters, type Domain, type DomainRef, type TypedParameters } from '../domain.ts';
import { procedure } from './procedure.ts';

/** virDomainStatsRecord. */
export interface DomainStatistics {
  readonly domain: Domain;
  /** Names as in `virsh domstats`: `state.state`, `cpu.time` (ns), `balloon.current` (KiB), `block.0.rd.bytes`. */
  readonly values: TypedParameters;
}

/** Counters of domains. */
export const statisticsProcedures = {
  /** Of the given domains, or of all when none is given; `domainStatsGroup`, `domainStatsFlag`. 4-10 ms a running QEMU domain. */
  statistics: procedure<[domains: readonly DomainRef[], groups: number, flags: number], readonly DomainStatistics[]>(
    344,
    [list(domainRef), uint, uint],
    list(struct<DomainStatistics>({ domain, values: typedParameters })),
  ),
} as const;
