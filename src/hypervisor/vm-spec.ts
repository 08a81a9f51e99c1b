import type { DiskFormat } from '../model/image.ts';
import type { VirtualFunction } from '../model/network.ts';
import type { VmIdentity } from '../model/vm-identity.ts';

/** What we want of a VM; `domain-xml.ts` turns it into libvirt's domain XML. */
export interface VmSpec {
  /** Domain name. */
  readonly name: string;
  readonly uuid: string;
  readonly identity: VmIdentity;
  readonly vcpus: number;
  readonly memoryMiB: number;
  /** QEMU runs as this uid and gid; overlay, seed, console and tap belong to them. */
  readonly uid: number;
  readonly gid: number;
  readonly rootDisk: { readonly path: string; readonly base: { readonly path: string; readonly format: DiskFormat } };
  /** NoCloud seed, read-only. */
  readonly seedPath: string;
  /** In the guest's order; each has a PCI slot by its place. */
  readonly interfaces: readonly VmInterface[];
  /** Serial port: unix socket for attach, and QEMU's log of all output beside it. In directories that root alone can write. */
  readonly console: { readonly socketPath: string; readonly logPath: string };
  /** Unix socket of the virtio-serial port on which the guest reports how it ends. */
  readonly reportSocketPath: string;
}

/** A network interface of a VM: virtio-net on a tap that is made by somebody else, or a device of the node. */
export type VmInterface = TapInterface | DeviceInterface;

export interface TapInterface {
  readonly kind: 'tap';
  readonly tap: string;
  readonly mac: string;
  /** Bytes; the guest is told by its device. */
  readonly mtu: number;
  /** Pairs of queues; the tap must have been made for as many. */
  readonly queues: number;
}

/** An SR-IOV virtual function, which libvirt takes from its driver at start and gives back at the end. */
export interface DeviceInterface extends VirtualFunction {
  readonly kind: 'device';
  readonly mac: string;
}
