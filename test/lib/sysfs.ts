import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Where the card of `makeSysfs` is: a physical function behind a root port, and the first two of its virtual ones. */
export const card = {
  rootPort: '0000:3a:00.0',
  physical: '0000:3b:00.0',
  functions: ['0000:3b:02.0', '0000:3b:02.1'],
  /** The physical function's interface. */
  interface: 'ens1f0',
} as const;

/** A tree of files and links as the kernel shows a network card with SR-IOV switched on. */
export interface Sysfs {
  readonly dir: string;
  /** Gives a device to a driver, or takes it away. */
  readonly bind: (address: string, driver: string | undefined) => void;
  /** The interfaces of a device that the node's namespace has. */
  readonly show: (address: string, interfaces: readonly string[]) => void;
  /** Puts a device into an IOMMU group, or takes it out of all. */
  readonly group: (address: string, number: string | undefined) => void;
  /** Takes a device off the bus, as SR-IOV that is switched off does. */
  readonly remove: (address: string) => void;
}

/**
 * Makes such a tree, in the form of the kernel's Documentation/ABI/testing/sysfs-bus-pci (`physfn`, `virtfnN`, `driver_override`,
 * `drivers_probe`), Documentation/ABI/testing/sysfs-kernel-iommu_groups, and of drivers/pci/iov.c, whose links are relative ones between
 * device directories. Both functions are with their driver, each in a group of its own; their interfaces are in another namespace.
 */
export function makeSysfs(dir: string): Sysfs {
  const at = (...parts: readonly string[]): string => join(dir, ...parts);
  const below = at('devices', 'pci0000:3a', card.rootPort);
  const real = (address: string): string => (address === card.rootPort ? below : join(below, address));
  const linked = new Map<string, string>();

  function link(from: string, to: string): void {
    mkdirSync(dirname(from), { recursive: true });
    symlinkSync(relative(dirname(from), to), from);
  }

  function bind(address: string, driver: string | undefined): void {
    rmSync(join(real(address), 'driver'), { force: true });
    if (driver !== undefined) link(join(real(address), 'driver'), at('bus', 'pci', 'drivers', driver));
  }

  function show(address: string, interfaces: readonly string[]): void {
    rmSync(join(real(address), 'net'), { recursive: true, force: true });
    for (const name of interfaces) mkdirSync(join(real(address), 'net', name), { recursive: true });
  }

  function group(address: string, number: string | undefined): void {
    rmSync(join(real(address), 'iommu_group'), { force: true });
    const before = linked.get(address);
    if (before !== undefined) rmSync(at('kernel', 'iommu_groups', before, 'devices', address));
    linked.delete(address);
    if (number === undefined) return;
    const ofGroup = at('kernel', 'iommu_groups', number);
    link(join(ofGroup, 'devices', address), real(address));
    link(join(real(address), 'iommu_group'), ofGroup);
    linked.set(address, number);
  }

  for (const driver of ['pcieport', 'ice', 'iavf', 'vfio-pci']) {
    mkdirSync(at('bus', 'pci', 'drivers', driver), { recursive: true });
    for (const file of ['bind', 'unbind']) writeFileSync(at('bus', 'pci', 'drivers', driver, file), '');
  }
  writeFileSync(at('bus', 'pci', 'drivers_probe'), '');
  for (const [index, address] of [card.rootPort, card.physical, ...card.functions].entries()) {
    mkdirSync(real(address), { recursive: true });
    link(at('bus', 'pci', 'devices', address), real(address));
    writeFileSync(join(real(address), 'driver_override'), '(null)\n');
    group(address, String(40 + index));
  }
  bind(card.rootPort, 'pcieport');
  bind(card.physical, 'ice');
  show(card.physical, [card.interface]);
  writeFileSync(join(real(card.physical), 'sriov_numvfs'), `${card.functions.length}\n`);
  for (const [index, address] of card.functions.entries()) {
    bind(address, 'iavf');
    link(join(real(card.physical), `virtfn${index}`), real(address));
    link(join(real(address), 'physfn'), real(card.physical));
  }
  return { dir, bind, show, group, remove: (address) => rmSync(at('bus', 'pci', 'devices', address)) };
}
