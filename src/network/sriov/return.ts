import { setTimeout as delay } from 'node:timers/promises';
import { tryProgram } from '../../lib/run-program.ts';
import { functionsOf, type AttachmentRecord } from '../attachment-record.ts';
import type { Parts } from '../parts.ts';
import type { Pci, PciDevice } from './pci.ts';
import { returnStep, type Whereabouts } from './vf.ts';

const pollMs = 100;

/** What giving back works with. */
interface ReturnParts extends Pick<Parts, 'log'> {
  readonly namespaces: Pick<Parts['namespaces'], 'tryRun'>;
  readonly functions: Pick<Parts['functions'], 'pci' | 'waitMs'>;
}

/** How far giving back may go. */
export interface ReturnExtent {
  /** Whether a device that vfio-pci has is taken from it: libvirt does that itself, at its next start too, and resets the device. */
  readonly mayRebind: boolean;
}

/**
 * Brings a sandbox's virtual functions back into its namespace, under the CNI's names, once no VM has them; from wherever libvirt, or its
 * death, has left them. What is there already stays. To be called with the namespace alive. Throws when one is still in a VM's hands, or
 * its driver makes no interface in time.
 */
export async function returnFunctions(
  parts: ReturnParts,
  record: AttachmentRecord,
  { mayRebind }: ReturnExtent,
  signal: AbortSignal,
): Promise<void> {
  const { netnsPath, subject } = record;
  for (const { link, pciAddress } of functionsOf(record)) {
    await returnOne(parts, { netnsPath, name: link.name, pciAddress, sandboxId: subject.sandboxId, mayRebind }, signal);
  }
}

interface Errand extends ReturnExtent {
  readonly sandboxId: string;
  readonly netnsPath: string;
  /** The CNI's for the interface. */
  readonly name: string;
  readonly pciAddress: string;
}

async function returnOne(parts: ReturnParts, errand: Errand, signal: AbortSignal): Promise<void> {
  const { namespaces, functions, log } = parts;
  const { sandboxId, netnsPath, name, pciAddress } = errand;
  const end = performance.now() + functions.waitMs;
  let rebinding: Whereabouts['rebinding'] = errand.mayRebind ? 'allowed' : 'never';
  let problem = '';
  for (;;) {
    const found = await namespaces.tryRun(netnsPath, { argv: ['ip', 'link', 'show', 'dev', name] }, signal);
    const device = await functions.pci.device(pciAddress);
    const step = returnStep({ isInPod: found.exitCode === 0, device, rebinding });
    if (step.action === 'done') return;
    if (step.action === 'forget' || !device) {
      log.warn({ sandboxId, pciAddress }, 'a virtual function is no more; there is nothing to give back');
      return;
    }
    if (step.action === 'rebind') {
      await release(functions.pci, name, device);
      rebinding = 'asked';
    } else if (step.action === 'move') {
      const { exitCode, stderr } = await tryProgram('ip', ['link', 'set', 'dev', step.from, 'netns', netnsPath, 'name', name], { signal });
      if (exitCode === 0) return;
      problem = `: ${stderr.trim()}`;
    }
    if (step.action === 'leave' || performance.now() > end) {
      const driver = device.driver ?? 'none';
      throw new Error(`interface ${name} (virtual function ${pciAddress}, driver ${driver}) did not come back in time${problem}`);
    }
    await delay(pollMs, undefined, { signal });
  }
}

async function release(pci: Pci, name: string, device: PciDevice): Promise<void> {
  if (await pci.isInUse(device)) throw new Error(`interface ${name} (virtual function ${device.address}) is still in a VM's hands`);
  await pci.rebind(device);
}
