import { dirname, join } from 'node:path';
import { reportPortName } from './guest-report.ts';
import type { HostFacts } from './host-facts.ts';
import type { DeviceInterface, TapInterface, VmInterface, VmSpec } from './vm-spec.ts';
import type { XmlNode } from './xml.ts';

/** How QEMU uses the host's page cache: `none` (O_DIRECT) where the file system can, else `writeback`. */
export type DiskCache = 'none' | 'writeback';

/**
 * Free PCIe slots for what is plugged in later: ports cannot be added to a running VM. Each costs QEMU up to 6 MiB while the guest boots,
 * since every step of placing the bridges' windows makes a view of all of them anew.
 */
const spareRootPorts = 4;

/** Ports of the virtio-serial controller, the most it can have: agent, consoles, and channels that are plugged in later. */
const serialPorts = 31;

/**
 * Virtio consoles (`/dev/hvc0` ...) for terminals in the guest. The first is left alone, since systemd puts a login on hvc0; the kernel
 * has 8 of them at most.
 */
const virtioConsoles = 5;

/** The unix socket of virtio console `index` of a VM, beside its serial console's. */
export function virtioConsoleSocket(consoleSocketPath: string, index: number): string {
  return join(dirname(consoleSocketPath), `hvc${index}.sock`);
}

/** All devices of a VM. No USB, video or graphics; disks on virtio-blk, since stock cloud kernels lack AHCI. */
export function devices(spec: VmSpec, { emulator, vhostNet }: Pick<HostFacts, 'emulator' | 'vhostNet'>, cache: DiskCache): XmlNode {
  return {
    emulator,
    disk: [rootDisk(spec, cache), seed(spec, cache)],
    controller: controllers(spec),
    interface: spec.interfaces.map((nic, index) => networkInterface(nic, index, vhostNet)),
    serial: serial(spec),
    console: [{ ...serial(spec), target: { '@type': 'serial', '@port': 0 } }, ...terminals(spec)],
    channel: channels(spec),
    video: { model: { '@type': 'none' } },
    memballoon: { '@model': 'virtio', '@autodeflate': 'off', '@freePageReporting': 'on', stats: { '@period': 5 } },
    rng: { '@model': 'virtio', backend: { '@model': 'random', '#': '/dev/urandom' } },
    panic: { '@model': 'isa' },
  };
}

/** The overlay, and its base written out with an end: libvirt probes no file for a backing file, and does not chown the base. */
function rootDisk({ rootDisk: { path, base } }: VmSpec, cache: DiskCache): XmlNode {
  return {
    '@type': 'file',
    '@device': 'disk',
    driver: { '@name': 'qemu', '@type': 'qcow2', '@cache': cache, '@discard': 'unmap' },
    source: { '@file': path },
    backingStore: {
      '@type': 'file',
      format: { '@type': base.format },
      source: { '@file': base.path, seclabel: { '@model': 'dac', '@relabel': 'no' } },
      backingStore: {},
    },
    target: { '@dev': 'vda', '@bus': 'virtio' },
    boot: { '@order': 1 },
  };
}

function seed({ seedPath }: VmSpec, cache: DiskCache): XmlNode {
  return {
    '@type': 'file',
    '@device': 'disk',
    driver: { '@name': 'qemu', '@type': 'raw', '@cache': cache },
    source: { '@file': seedPath },
    backingStore: {},
    target: { '@dev': 'vdb', '@bus': 'virtio' },
    readonly: {},
  };
}

function controllers({ interfaces }: VmSpec): readonly XmlNode[] {
  const pcieDevices = 2 + interfaces.length + 3; // disks; interfaces; serial controller, balloon, rng
  const ports = Array.from({ length: pcieDevices + spareRootPorts }, (_, index) => ({
    '@type': 'pci',
    '@index': index + 1,
    '@model': 'pcie-root-port',
  }));
  return [
    { '@type': 'usb', '@model': 'none' },
    { '@type': 'virtio-serial', '@index': 0, '@ports': serialPorts },
    { '@type': 'pci', '@index': 0, '@model': 'pcie-root' },
    ...ports,
  ];
}

/** What virtio-net offers the guest, and takes of it: checksums and segmentation are left to whoever needs them. */
const offloads = { '@csum': 'on', '@tso4': 'on', '@tso6': 'on', '@ecn': 'on', '@ufo': 'on' };

/** The slot is said, on the first root ports, so that the guest's names for its interfaces depend on their order alone. */
function networkInterface(nic: VmInterface, index: number, vhostNet: boolean): XmlNode {
  const address = pciAddress(`0000:${(index + 1).toString(16).padStart(2, '0')}:00.0`);
  return { ...(nic.kind === 'tap' ? tapInterface(nic, vhostNet) : deviceInterface(nic)), address };
}

/**
 * The tap is vmlet's (`managed='no'`): libvirt neither makes nor removes it. One queue is left unsaid: libvirt opens a tap in another way
 * for `queues`.
 */
function tapInterface({ tap, mac, mtu, queues }: TapInterface, vhostNet: boolean): XmlNode {
  return {
    '@type': 'ethernet',
    mac: { '@address': mac },
    target: { '@dev': tap, '@managed': 'no' },
    model: { '@type': 'virtio' },
    driver: {
      '@name': vhostNet ? 'vhost' : 'qemu',
      ...(queues > 1 ? { '@queues': queues } : {}),
      host: { ...offloads, '@gso': 'on' },
      guest: offloads,
    },
    mtu: { '@size': mtu },
  };
}

/**
 * libvirt's "PCI Passthrough" of a virtual function: an interface, not a plain `hostdev`, so that it sets MAC and VLAN by the physical
 * function. It clears a VLAN that is not said here. `managed`: it binds the device to vfio-pci before the start and back after the end.
 */
function deviceInterface({ mac, pciAddress: source, vlan }: DeviceInterface): XmlNode {
  return {
    '@type': 'hostdev',
    '@managed': 'yes',
    driver: { '@name': 'vfio' },
    source: { address: pciAddress(source) },
    mac: { '@address': mac },
    ...(vlan === undefined ? {} : { vlan: { tag: { '@id': vlan } } }),
  };
}

/** An address as the kernel writes it, `DDDD:BB:SS.F`. */
function pciAddress(text: string): XmlNode {
  const [domain = '', bus = '', slot = '', pciFunction = ''] = text.split(/[:.]/);
  return { '@type': 'pci', '@domain': `0x${domain}`, '@bus': `0x${bus}`, '@slot': `0x${slot}`, '@function': `0x${pciFunction}` };
}

/** The log has all output, whether or not somebody is connected; `append`, since every start of QEMU would truncate it. */
function serial({ console: { socketPath, logPath } }: VmSpec): XmlNode {
  return {
    '@type': 'unix',
    source: { '@mode': 'bind', '@path': socketPath },
    log: { '@file': logPath, '@append': 'on' },
    target: { '@type': 'isa-serial', '@port': 0 },
  };
}

/** The agent's port, whose socket libvirt places, and the one for reports. */
function channels({ reportSocketPath }: VmSpec): readonly XmlNode[] {
  return [
    { '@type': 'unix', target: { '@type': 'virtio', '@name': 'org.qemu.guest_agent.0' } },
    {
      '@type': 'unix',
      source: { '@mode': 'bind', '@path': reportSocketPath },
      target: { '@type': 'virtio', '@name': reportPortName },
    },
  ];
}

function terminals({ console: { socketPath } }: VmSpec): readonly XmlNode[] {
  return Array.from({ length: virtioConsoles }, (_, index) => ({
    '@type': 'unix',
    source: { '@mode': 'bind', '@path': virtioConsoleSocket(socketPath, index) },
    target: { '@type': 'virtio', '@port': index + 1 },
  }));
}
