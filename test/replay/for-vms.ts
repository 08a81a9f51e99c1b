import type { JsonObject } from '@bufbuild/protobuf';
import { listOf, textAt } from './json.ts';

/** What is changed in a recorded CreateContainer so that a VM can be asked for. */
export interface Change {
  readonly what: string;
  readonly why: string;
  readonly apply: (config: JsonObject) => JsonObject;
}

const kubeletsOwn = ['/etc/hosts', '/var/run/secrets/kubernetes.io/serviceaccount', '/dev/termination-log'];

/** The changes, each with its reason; everything else is sent as recorded. */
export const changes: readonly Change[] = [
  {
    what: 'command, args and working_dir',
    why: 'a VM boots what is on its disk',
    apply: (config) => without(config, 'command', 'args', 'working_dir'),
  },
  {
    what: 'mounts but the kubelet’s own',
    why: 'the recorded pods mount an emptyDir and a ConfigMap that nothing on this node has made',
    apply: (config) => ({
      ...config,
      mounts: listOf(config['mounts']).filter((mount) => kubeletsOwn.includes(textAt(mount, 'container_path'))),
    }),
  },
];

/** The recorded pods have 64 MiB, less than QEMU needs beside a guest; in requests and answers alike. */
export const memory: Readonly<Record<string, string>> = { [String(64 * 2 ** 20)]: String(128 * 2 ** 20) };

/** The fields that `memory` holds for. */
export const memoryFields: readonly string[] = ['memory_limit_in_bytes', 'memory_swap_limit_in_bytes'];

/** Makes every change. */
export function forVm(config: JsonObject): JsonObject {
  return changes.reduce((changed, { apply }) => apply(changed), config);
}

function without(config: JsonObject, ...names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(config).filter(([name]) => !names.includes(name)));
}
