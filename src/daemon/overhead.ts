const mebibyte = 2 ** 20;

/**
 * Memory set aside for QEMU, bytes. `auto` is 96 MiB for emulated VMs, as measured with a 128 MiB guest (code cache included), and 64 MiB
 * with KVM; while it is not known how VMs run, the larger one.
 */
export function overheadBytes(configured: 'auto' | number, accelerator: 'kvm' | 'qemu' | undefined): number {
  if (configured !== 'auto') return configured;
  return (accelerator === 'kvm' ? 64 : 96) * mebibyte;
}
