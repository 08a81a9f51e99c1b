import { nothing, optional, string, uint } from '../codecs.ts';
import { domainRef, type DomainRef } from '../domain.ts';
import { procedure } from './procedure.ts';

type Open = [domain: DomainRef, device: string | undefined, flags: number];

/** Calls whose serial becomes the name of a stream. */
export const streamProcedures = {
  openConsole: procedure<Open, void>(201, [domainRef, optional(string), uint], nothing),
  openChannel: procedure<Open, void>(296, [domainRef, optional(string), uint], nothing),
} as const;
