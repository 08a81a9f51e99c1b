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
  /** Set aside for QEMU where the sandbox brings no overhead of its own. */
  readonly overheadBytes: number;
}

/** The size of a VM and the limits of its cgroup leaf. */
export interface VmSize {
  readonly vcpus: number;
  readonly memoryMiB: number;
  /** Limit of the leaf, guest and QEMU together; `undefined` when the container has no memory limit. */
  readonly leafMemoryBytes: number | undefined;
  /** Quota on the vCPU threads, and weight; `undefined` where the container asks for none. */
  readonly cpuQuotaUs: number | undefined;
  readonly cpuPeriodUs: number | undefined;
  readonly cpuShares: number | undefined;
}

/**
 * Sizes a VM. Memory: with an overhead in the sandbox the guest has the whole limit and the leaf limit + overhead; without, the guest
 * has the limit less `overheadBytes` and the leaf the limit. vCPUs: the annotation, else the CPU limit rounded up, else the default;
 * fixed at boot. Throws INVALID with the numbers when too little memory is left or too many vCPUs are asked for.
 */
export function sizeVm(
  resources: LinuxResources | undefined,
  sandboxOverhead: LinuxResources | undefined,
  annotations: VmAnnotations,
  options: SizingOptions,
): VmSize {
  const limit = resources?.memoryLimitBytes ?? 0;
  const granted = sandboxOverhead?.memoryLimitBytes ?? 0;
  return {
    vcpus: vcpusOf(resources, annotations, options),
    memoryMiB: Math.floor(guestMemory(limit, granted, options) / mebibyte),
    leafMemoryBytes: limit > 0 ? limit + granted : undefined,
    cpuQuotaUs: positive(resources?.cpuQuotaUs),
    cpuPeriodUs: positive(resources?.cpuPeriodUs),
    cpuShares: positive(resources?.cpuShares),
  };
}

function guestMemory(limit: number, granted: number, options: SizingOptions): number {
  const guest = limit === 0 ? options.defaultMemoryBytes : granted > 0 ? limit : limit - options.overheadBytes;
  if (guest >= options.minMemoryBytes) return guest;
  const needed = options.minMemoryBytes + (granted > 0 ? 0 : options.overheadBytes);
  throw invalid(
    'resources.limits.memory',
    `${mib(limit)} leaves ${mib(Math.max(guest, 0))} to the guest; at least ${mib(needed)} is needed` +
      (granted > 0
        ? ''
        : ` (${mib(options.overheadBytes)} of it for QEMU; a RuntimeClass with overhead.podFixed.memory grants that beside the limit)`),
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
