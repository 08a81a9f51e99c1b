import { invalid } from '../model/errors.ts';
import type { LinuxResources } from '../model/sandbox.ts';
import type { VmAnnotations } from './annotations.ts';

const mebibyte = 2 ** 20;

/** What the node's configuration says of VM sizes; bytes. */
export interface SizingOptions {
  readonly defaultCpus: number;
  readonly maxCpus: number;
  readonly defaultMemoryBytes: number;
  readonly minMemoryBytes: number;
  /** What QEMU needs beside the memory of a guest with so many vCPUs, whose container has this memory limit. */
  readonly overheadBytes: (vcpus: number, limitBytes: number) => number;
}

/** The size of a VM, fixed when it is created. */
export interface VmSize {
  readonly vcpus: number;
  readonly memoryMiB: number;
}

/**
 * Sizes a VM. vCPUs: the annotation, else the CPU limit rounded up, else the default. Memory: the container's limit, less what QEMU
 * needs and the sandbox's overhead does not cover. Throws INVALID with the numbers when too little memory is left or too many vCPUs are
 * asked for.
 */
export function sizeVm(
  resources: LinuxResources | undefined,
  sandboxOverhead: LinuxResources | undefined,
  annotations: VmAnnotations,
  options: SizingOptions,
): VmSize {
  const vcpus = vcpusOf(resources, annotations, options);
  const limit = resources?.memoryLimitBytes ?? 0;
  const granted = sandboxOverhead?.memoryLimitBytes ?? 0;
  const guest = limit > 0 ? guestMemory(limit, granted, vcpus, options) : options.defaultMemoryBytes;
  return { vcpus, memoryMiB: Math.floor(guest / mebibyte) };
}

function guestMemory(limit: number, granted: number, vcpus: number, options: SizingOptions): number {
  const needed = options.overheadBytes(vcpus, limit);
  const taken = Math.max(needed - granted, 0);
  const guest = limit - taken;
  if (guest >= options.minMemoryBytes) return guest;
  const forQemu =
    ` (${mib(taken)} of it for QEMU with ${vcpus} ${vcpus === 1 ? 'vCPU' : 'vCPUs'};` +
    ` a RuntimeClass with overhead.podFixed.memory of ${mib(needed)} grants that beside the limit)`;
  throw invalid(
    'resources.limits.memory',
    `${mib(limit)} leaves ${mib(Math.max(guest, 0))} to the guest; at least ${mib(options.minMemoryBytes + taken)} is needed` +
      (taken > 0 ? forQemu : ''),
  );
}

function vcpusOf(resources: LinuxResources | undefined, annotations: VmAnnotations, options: SizingOptions): number {
  const quota = positive(resources?.cpuQuotaUs);
  const period = positive(resources?.cpuPeriodUs) ?? 100_000;
  const wanted = annotations.vcpus ?? (quota === undefined ? options.defaultCpus : Math.max(1, Math.ceil(quota / period)));
  if (wanted <= options.maxCpus) return wanted;
  const field = annotations.vcpus === undefined ? 'resources.limits.cpu' : 'annotation vmlet.dev/vcpus';
  throw invalid(field, `asks for ${wanted} vCPUs; this node allows ${options.maxCpus} (vm.maxCpus)`);
}

function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}

function mib(bytes: number): string {
  return `${Math.floor(bytes / mebibyte)} MiB`;
}
