import { parseBytes } from '../lib/quantity.ts';
import { invalid } from '../model/errors.ts';
import type { StringMap } from '../model/sandbox.ts';
import { networkAnnotations } from '../network/network.ts';

/** What a pod's annotations say of its VM. */
export interface VmAnnotations {
  /** `vmlet.dev/vcpus`: vCPUs, in place of the number that follows from the CPU limit. */
  readonly vcpus?: number;
  /** `vmlet.dev/root-disk-size`: bytes that the guest's root disk has, at least the image's. */
  readonly rootDiskSizeBytes?: number;
}

interface Annotation {
  readonly name: string;
  /** The name under which Virtlet knew it, if it did; accepted as an alias. */
  readonly virtletName?: string;
  readonly read: (field: string, value: string) => VmAnnotations;
}

const prefix = 'vmlet.dev/';
const virtletPrefix = 'Virtlet';

const annotations: readonly Annotation[] = [
  { name: `${prefix}vcpus`, virtletName: 'VirtletVCPUCount', read: (field, value) => ({ vcpus: readVcpus(field, value) }) },
  {
    name: `${prefix}root-disk-size`,
    virtletName: 'VirtletRootVolumeSize',
    read: (field, value) => ({ rootDiskSizeBytes: readSize(field, value) }),
  },
  ...networkAnnotations.map((name) => ({ name, read: (): VmAnnotations => ({}) })), // the network reads them
];

/**
 * Reads a pod's annotations. Those of others are left alone; one of ours (`vmlet.dev/`, or a Virtlet name) that is unknown, malformed,
 * or given twice under both names throws INVALID: nothing of ours is silently ignored.
 */
export function parseAnnotations(map: StringMap): VmAnnotations {
  const seen = new Map<string, string>();
  let result: VmAnnotations = {};
  for (const [key, value] of Object.entries(map)) {
    if (!key.startsWith(prefix) && !key.startsWith(virtletPrefix)) continue;
    const field = `annotation ${key}`;
    const annotation = annotations.find(({ name, virtletName }) => key === name || key === virtletName);
    if (!annotation) throw invalid(field, `is unknown; known are ${annotations.map(({ name }) => name).join(', ')}`);
    const other = seen.get(annotation.name);
    if (other !== undefined) throw invalid(field, `says the same as annotation ${other}; give one of them`);
    seen.set(annotation.name, key);
    result = { ...result, ...annotation.read(field, value) };
  }
  return result;
}

function readVcpus(field: string, value: string): number {
  if (!/^[1-9][0-9]{0,2}$/.test(value)) throw invalid(field, `${JSON.stringify(value)} must be a whole number of vCPUs from 1`);
  return Number(value);
}

function readSize(field: string, value: string): number {
  const size = parseBytes(value);
  if (size === undefined || size === 0) throw invalid(field, `${JSON.stringify(value)} must be bytes, for example 10Gi or 10737418240`);
  return size;
}
