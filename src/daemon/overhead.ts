const mebibyte = 2 ** 20;

/** The parts of what QEMU needs, bytes: with one vCPU, and for each further one. */
interface Needs {
  readonly base: number;
  readonly perFurtherVcpu: number;
}

/**
 * Emulated: measured with QEMU 7.2 and guest memory all touched, docs/running.md has the numbers. Beside the cache of translated code
 * (32 MiB) it is mostly old views of the address space: at each boot the guest's firmware and kernel place the PCI bridges' windows, each
 * step makes a view of memory for the devices and one for each vCPU (its SMM), and they are freed only some time later (RCU). With KVM
 * there is neither a cache nor a view for each vCPU: an estimate, with 8 MiB for a vCPU's thread and what the kernel keeps of it, as
 * KubeVirt counts (`GetMemoryOverhead`).
 */
const needs: Readonly<Record<'kvm' | 'qemu', Needs>> = {
  kvm: { base: 64 * mebibyte, perFurtherVcpu: 8 * mebibyte },
  qemu: { base: 96 * mebibyte, perFurtherVcpu: 32 * mebibyte },
};

/** A page table's entry has 8 bytes for 4 KiB, in whole MiB: where memory comes in huge pages it is next to nothing. */
function pageTables(memoryBytes: number): number {
  return Math.floor(memoryBytes / 512 / mebibyte) * mebibyte;
}

/**
 * Memory that QEMU needs beside the guest's, bytes. A configured number is for every VM. `auto` goes by how VMs run (while that is not
 * known as if they were emulated), the number of vCPUs and the memory limit, for page tables.
 */
export function overheadBytes(
  configured: 'auto' | number,
  accelerator: 'kvm' | 'qemu' | undefined,
  { vcpus, limitBytes }: { readonly vcpus: number; readonly limitBytes: number },
): number {
  if (configured !== 'auto') return configured;
  const { base, perFurtherVcpu } = needs[accelerator ?? 'qemu'];
  return base + (vcpus - 1) * perFurtherVcpu + pageTables(limitBytes);
}
