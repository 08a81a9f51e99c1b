/** What of the host goes into a domain: `kvm` or TCG, QEMU's program, and the machine type by its version. */
export interface HostFacts {
  readonly accelerator: 'kvm' | 'qemu';
  /** QEMU's program, absolute. */
  readonly emulator: string;
  /** `pc-q35-X.Y`, never the alias `q35`: a guest keeps its machine when QEMU is upgraded. */
  readonly machine: string;
  /** Whether the kernel can carry packets between a tap and a guest without QEMU (`/dev/vhost-net`). */
  readonly vhostNet: boolean;
}
