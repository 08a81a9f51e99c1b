import { nothing, string, uint } from '../codecs.ts';
import { domain, domainRef, type Domain, type DomainRef } from '../domain.ts';
import { procedure } from './procedure.ts';

type Change = [domain: DomainRef, flags: number];

/** Makes, starts, stops and forgets domains. Flags are those of `libvirtNumbers`; 0 for none. */
export const lifecycleProcedures = {
  /** Makes a domain known, not started; `domainDefineFlag`. */
  define: procedure<[xml: string, flags: number], Domain>(350, [string, uint], domain),
  /** Makes and starts a transient domain; `domainCreateFlag`. */
  createXml: procedure<[xml: string, flags: number], Domain>(10, [string, uint], domain),
  /** Starts a defined domain; `domainCreateFlag`. */
  create: procedure<Change, Domain>(196, [domainRef, uint], domain),
  /** Stops the virtual CPUs. */
  suspend: procedure<[domain: DomainRef], void>(34, [domainRef], nothing),
  resume: procedure<[domain: DomainRef], void>(28, [domainRef], nothing),
  /** Asks the guest to power off; `domainShutdownFlag`. */
  shutdown: procedure<Change, void>(258, [domainRef, uint], nothing),
  /** Asks the guest to reboot; `domainRebootFlag`. */
  reboot: procedure<Change, void>(27, [domainRef, uint], nothing),
  /** Presses the reset button. Flags: 0. */
  reset: procedure<Change, void>(245, [domainRef, uint], nothing),
  /** Pulls the plug; `domainDestroyFlag`. */
  destroy: procedure<Change, void>(234, [domainRef, uint], nothing),
  /** Forgets a domain's definition; `domainUndefineFlag`. */
  undefine: procedure<Change, void>(231, [domainRef, uint], nothing),
} as const;
