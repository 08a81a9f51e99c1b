import { z } from 'zod';
import type { VirtualFunction } from '../../model/network.ts';
import type { PciDevice } from './pci.ts';

/** An interface of the pod that is a virtual function, and what decides whether a VM can have it. */
export interface Candidate {
  /** The CNI's name for it. */
  readonly name: string;
  readonly device: PciDevice & Required<Pick<PciDevice, 'physical'>>;
  /** The physical function's interfaces in the node's namespace. */
  readonly physicalLinks: readonly PhysicalLink[];
  /** Whether the kernel has the driver vfio-pci. */
  readonly hasVfio: boolean;
  /** PCI addresses of all virtual functions of the pod: they go to the same VM. */
  readonly companions: ReadonlySet<string>;
}

const vlan = z.object({ vlan: z.int().optional(), qos: z.int().optional(), protocol: z.string().optional() });
const physicalLinks = z.array(
  z.object({
    ifname: z.string(),
    flags: z.array(z.string()),
    vfinfo_list: z.array(vlan.extend({ vf: z.int(), vlan_list: z.array(vlan).optional() })).optional(),
  }),
);

/** An interface of a physical function, with what it tells of its virtual ones (`ip -json link show`). */
export type PhysicalLink = z.infer<typeof physicalLinks>[number];

/** Reads what `ip -json link show dev NAME` of iproute2 printed. Throws when it is not that. */
export function parsePhysicalLinks(text: string): readonly PhysicalLink[] {
  return physicalLinks.parse(JSON.parse(text));
}

/** Drivers of devices beside which vfio-pci takes another of the group (the kernel's Documentation/driver-api/vfio.rst). */
const harmlessDrivers: ReadonlySet<string> = new Set(['pcieport', 'pci-stub', 'vfio-pci']);

/** The virtual function as a VM gets it. Throws with the interface, the device, what is in the way, and the fix. */
export function handedOver(candidate: Candidate): VirtualFunction {
  const { name, device, hasVfio, companions } = candidate;
  const { address, iommuGroup } = device;
  const refuse = (problem: string, fix: string): never => {
    throw new Error(`its interface ${name} is the SR-IOV virtual function ${address}, which a VM cannot have: ${problem}; ${fix}`);
  };
  if (!iommuGroup) {
    return refuse('it has no IOMMU group', 'switch the IOMMU on in the firmware and the kernel (intel_iommu=on on Intel CPUs)');
  }
  if (!hasVfio) return refuse('the kernel has no driver vfio-pci', 'run "modprobe vfio-pci" on the node, at each boot');
  const rivals = iommuGroup.others.filter((other) => !companions.has(other.address) && isRival(other.driver));
  if (rivals.length > 0) {
    const names = rivals.map((rival) => `${rival.address} (${rival.driver})`).join(', ');
    return refuse(`its IOMMU group ${iommuGroup.number} also has ${names}`, 'use a card and slot with ACS, or unbind these devices');
  }
  return { pciAddress: address, ...vlanOf(candidate, refuse) };
}

function isRival(driver: string | undefined): boolean {
  return driver !== undefined && !harmlessDrivers.has(driver);
}

/** libvirt sets the VLAN anew at start, by its number alone. */
function vlanOf(
  { device: { physical }, physicalLinks: links }: Candidate,
  refuse: (problem: string, fix: string) => never,
): Pick<VirtualFunction, 'vlan'> {
  const { address, index } = physical;
  const link = links.find(({ vfinfo_list: told = [] }) => told.some(({ vf }) => vf === index));
  const info = link?.vfinfo_list?.find(({ vf }) => vf === index);
  if (!link || !info) {
    return refuse(
      `no interface of its physical function ${address} in the node's network namespace tells of virtual function ${index}`,
      'leave the physical function with its driver and in that namespace',
    );
  }
  if (!link.flags.includes('UP')) return refuse(`its physical function ${link.ifname} is down`, `run "ip link set dev ${link.ifname} up"`);
  const { vlan: id = 0, qos = 0, protocol = '802.1Q' } = info.vlan_list?.[0] ?? info;
  if (qos !== 0 || protocol.toLowerCase() !== '802.1q') {
    return refuse(`libvirt cannot set its VLAN ${id} with priority ${qos} and protocol ${protocol}`, 'use priority 0 and 802.1Q');
  }
  return id === 0 ? {} : { vlan: id };
}

/** What is true of a virtual function that no VM has any more. */
export interface Whereabouts {
  /** Whether the pod's namespace has an interface of the CNI's name. */
  readonly isInPod: boolean;
  /** `undefined` when the device is no more: SR-IOV was switched off. */
  readonly device: Pick<PciDevice, 'driver' | 'interfaces'> | undefined;
  /**
   * Whether it may be taken from vfio-pci, and its driver be asked: once, since that takes its time; `never` where libvirt has done so when
   * it tells of the VM's end, or is gone.
   */
  readonly rebinding: 'allowed' | 'asked' | 'never';
}

/** What brings a virtual function one step nearer to where the CNI had put it. */
export type ReturnStep =
  | { readonly action: 'done' }
  /** There is nothing to give back. */
  | { readonly action: 'forget' }
  | { readonly action: 'move'; readonly from: string }
  /** libvirt was killed before it could: away from vfio-pci, if that has it, and to its own driver. */
  | { readonly action: 'rebind' }
  /** Who asks next sees to it: nobody is at work on it now. */
  | { readonly action: 'leave' }
  /** A driver may take seconds to make the interface. */
  | { readonly action: 'wait' };

/** The next step; to be decided anew after each, since udev renames, and drivers make, the interface at the same time. */
export function returnStep({ isInPod, device, rebinding }: Whereabouts): ReturnStep {
  if (isInPod) return { action: 'done' };
  if (!device) return { action: 'forget' };
  const [from] = device.interfaces;
  if (from !== undefined) return { action: 'move', from };
  const isAway = device.driver === undefined || device.driver === 'vfio-pci';
  if (isAway && rebinding === 'allowed') return { action: 'rebind' };
  return { action: device.driver === 'vfio-pci' && rebinding === 'never' ? 'leave' : 'wait' };
}
