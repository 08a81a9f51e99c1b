import { runProgram } from '../../lib/run-program.ts';
import type { VirtualFunction } from '../../model/network.ts';
import type { LinkState } from '../links/link-state.ts';
import type { Pci, PciDevice } from './pci.ts';
import { handedOver, parsePhysicalLinks, type Candidate, type PhysicalLink } from './vf.ts';

/** Asks the kernel about an interface of the node; answers what `ip -json link show dev NAME` prints. */
export type ShowLink = (name: string, signal: AbortSignal) => Promise<string>;

/** The real one. */
export const showLink: ShowLink = async (name, signal) => {
  const { stdout } = await runProgram('ip', ['-json', 'link', 'show', 'dev', name], { signal });
  return stdout;
};

/** What recognition works with. */
export interface RecognitionDeps {
  readonly pci: Pci;
  readonly showLink: ShowLink;
}

type Found = Pick<Candidate, 'name' | 'device'>;

/**
 * Which of a pod's interfaces are SR-IOV virtual functions, by name; the kernel says which device an interface is, not its driver's name.
 * Throws why one cannot be handed to a VM.
 */
export async function recogniseFunctions(
  { pci, showLink: show }: RecognitionDeps,
  states: readonly Pick<LinkState, 'name' | 'pciAddress'>[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, VirtualFunction>> {
  const found: Found[] = [];
  for (const { name, pciAddress } of states) {
    const device = pciAddress === undefined ? undefined : await pci.device(pciAddress);
    if (isFunction(device)) found.push({ name, device });
  }
  if (found.length === 0) return new Map();
  const hasVfio = await pci.hasDriver('vfio-pci');
  const companions = new Set(found.map(({ device }) => device.address));
  const functions = new Map<string, VirtualFunction>();
  for (const { name, device } of found) {
    const links: PhysicalLink[] = [];
    for (const each of device.physical.interfaces) links.push(...parsePhysicalLinks(await show(each, signal)));
    functions.set(name, handedOver({ name, device, physicalLinks: links, hasVfio, companions }));
  }
  return functions;
}

function isFunction(device: PciDevice | undefined): device is Found['device'] {
  return device?.physical !== undefined;
}
