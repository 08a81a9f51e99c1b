import { isLibvirtError, isNoAnswer, libvirtNumbers, type DomainRef, type LibvirtCalls } from '../libvirt/libvirt.ts';
import { isWrongState } from './failures.ts';

const { domainShutdownFlag } = libvirtNumbers;

const pingSeconds = 2;
const agentShutdownMs = 10_000;

/**
 * Asks the guest to power off: by its agent if that answers a ping, which works where nothing in the guest listens to the power button,
 * else by the button. A VM that has ended meanwhile is fine.
 */
export async function requestShutdown(calls: LibvirtCalls, domain: DomainRef, signal: AbortSignal): Promise<void> {
  try {
    if (await askAgent(calls, domain, signal)) return;
    await calls.domains.shutdown(domain, domainShutdownFlag.acpiPowerButton, signal);
  } catch (error) {
    if (!isWrongState(error)) throw error;
  }
}

/** False when the agent is not there, or does not do it: whatever it answers, the button is next. */
async function askAgent(calls: LibvirtCalls, domain: DomainRef, signal: AbortSignal): Promise<boolean> {
  const patient = calls.within(agentShutdownMs);
  try {
    await patient.qemu.agentCommand(domain, JSON.stringify({ execute: 'guest-ping' }), pingSeconds, 0, signal);
    await patient.domains.shutdown(domain, domainShutdownFlag.guestAgent, signal);
    return true;
  } catch (error) {
    if (isWrongState(error)) throw error;
    if (isLibvirtError(error) || isNoAnswer(error)) return false;
    throw error;
  }
}
