import { int, nothing } from '../codecs.ts';
import { optionalDomain, type DomainRef } from '../domain.ts';
import { procedure } from './procedure.ts';

/** Registers for events; a registration lasts as long as its connection. */
export const eventProcedures = {
  /** Answers the number of the registration. Without a domain: of all. */
  register: procedure<[eventId: number, domain: DomainRef | undefined], number>(316, [int, optionalDomain], int),
  deregister: procedure<[callbackId: number], void>(317, [int], nothing),
} as const;
