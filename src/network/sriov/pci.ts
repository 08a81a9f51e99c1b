import { open, readdir, readlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isErrno } from '../../lib/errno.ts';

/** A PCI device as sysfs shows it (the kernel's Documentation/ABI/testing/sysfs-bus-pci and sysfs-kernel-iommu_groups). */
export interface PciDevice {
  /** `0000:3b:02.1`. */
  readonly address: string;
  /** `undefined` while no driver has it. */
  readonly driver: string | undefined;
  /** Its network interfaces in the node's namespace: sysfs shows those of the namespace that it was mounted in. */
  readonly interfaces: readonly string[];
  /** Set for an SR-IOV virtual function: the physical function, its interfaces as above, and which of its functions this is, from 0. */
  readonly physical?: { readonly address: string; readonly interfaces: readonly string[]; readonly index: number };
  /** Absent without an IOMMU. */
  readonly iommuGroup?: {
    readonly number: string;
    readonly others: readonly { readonly address: string; readonly driver: string | undefined }[];
  };
}

/** The node's PCI bus. */
export interface Pci {
  /** `undefined` when there is no such device. */
  readonly device: (address: string) => Promise<PciDevice | undefined>;
  /** Whether the kernel has a driver of this name. */
  readonly hasDriver: (name: string) => Promise<boolean>;
  /** Whether a process, QEMU as a rule, has the device's IOMMU group open: taking it from vfio-pci would wait for that, without end. */
  readonly isInUse: (device: PciDevice) => Promise<boolean>;
  /** Takes the device from the driver that it was forced to, and has the kernel look for its own. */
  readonly rebind: (device: PciDevice) => Promise<void>;
}

/** Where the kernel shows its devices. */
export interface PciPlaces {
  /** `/sys`, as mounted in the node's network namespace. */
  readonly sysfsDir: string;
  /** `/dev/vfio`. */
  readonly vfioDir: string;
}

/** Makes a reader; it keeps nothing. */
export function makePci({ sysfsDir, vfioDir }: PciPlaces): Pci {
  const bus = join(sysfsDir, 'bus', 'pci');
  const dirOf = (address: string): string => join(bus, 'devices', address);
  const driverOf = async (address: string): Promise<string | undefined> => target(join(dirOf(address), 'driver'));

  async function device(address: string): Promise<PciDevice | undefined> {
    const dir = dirOf(address);
    if ((await entries(dir)).length === 0) return undefined;
    const [driver, interfaces, physfn, group] = await Promise.all([
      driverOf(address),
      entries(join(dir, 'net')),
      target(join(dir, 'physfn')),
      target(join(dir, 'iommu_group')),
    ]);
    return {
      address,
      driver,
      interfaces,
      ...(physfn === undefined ? {} : { physical: await physical(physfn, address) }),
      ...(group === undefined ? {} : { iommuGroup: { number: group, others: await others(group, address) } }),
    };
  }

  async function physical(pf: string, address: string): Promise<Required<PciDevice>['physical']> {
    const [names, interfaces] = await Promise.all([entries(dirOf(pf)), entries(join(dirOf(pf), 'net'))]);
    const links = names.filter((name) => /^virtfn[0-9]+$/.test(name));
    const functions = await Promise.all(links.map(async (name) => ({ name, of: await target(join(dirOf(pf), name)) })));
    const found = functions.find(({ of }) => of === address);
    if (!found) throw new Error(`${address} names ${pf} as its physical function, which does not know it`);
    return { address: pf, interfaces, index: Number(found.name.slice('virtfn'.length)) };
  }

  async function others(group: string, address: string): Promise<Required<PciDevice>['iommuGroup']['others']> {
    const members = await entries(join(sysfsDir, 'kernel', 'iommu_groups', group, 'devices'));
    const rest = members.filter((member) => member !== address);
    return Promise.all(rest.map(async (member) => ({ address: member, driver: await driverOf(member) })));
  }

  async function isInUse({ iommuGroup }: PciDevice): Promise<boolean> {
    if (!iommuGroup) return false;
    try {
      await using _group = await open(join(vfioDir, iommuGroup.number), 'r+');
      return false;
    } catch (error) {
      if (isErrno(error, 'EBUSY')) return true; // the kernel lets one have it at a time
      if (isErrno(error, 'ENOENT')) return false;
      throw error;
    }
  }

  async function rebind({ address, driver }: PciDevice): Promise<void> {
    await writeFile(join(dirOf(address), 'driver_override'), '\n');
    if (driver !== undefined) await writeFile(join(bus, 'drivers', driver, 'unbind'), address);
    await writeFile(join(bus, 'drivers_probe'), address);
  }

  return { device, hasDriver: async (name) => (await entries(join(bus, 'drivers'))).includes(name), isInUse, rebind };
}

/** What a symbolic link's target is called; `undefined` without one. */
async function target(link: string): Promise<string | undefined> {
  try {
    return basename(await readlink(link));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** In the order of their names; none where there is no directory. */
async function entries(dir: string): Promise<readonly string[]> {
  try {
    return (await readdir(dir)).toSorted();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
