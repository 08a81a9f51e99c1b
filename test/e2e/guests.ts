import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { makeBootDisk, type BootSectorKind } from '../../images/bootsector/sectors.ts';
import { podFromManifest, readLog, type Pod } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import type { NodeImage, TestNode } from '../node/node.ts';

/** Boot sectors as images that a node knows as `boot.example/KIND`. */
export interface BootImages extends Disposable {
  readonly images: readonly NodeImage[];
}

/** Writes the disks to a temporary directory. */
export function bootImages(...kinds: readonly BootSectorKind[]): BootImages {
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-boot-'));
  const images = kinds.map((kind): NodeImage => {
    const file = join(dir, `${kind}.raw`);
    writeFileSync(file, makeBootDisk(kind));
    return { name: bootImage(kind), file, format: 'raw' };
  });
  return { images, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) };
}

/** The name under which a node of these tests knows a boot sector. */
export function bootImage(kind: BootSectorKind): string {
  return `boot.example/${kind}:1`;
}

/** What tests vary of a VM pod. */
export interface VmPodOptions {
  readonly name?: string;
  readonly image: string;
  readonly memory?: string;
  /** Limit, as a quantity; without one the VM has one CPU. */
  readonly cpu?: string;
  readonly graceSeconds?: number;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Further fields of the pod's spec. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** A pod with one VM. Boot sectors run in 32 MiB: the limit less what QEMU needs when it emulates. */
export function vmPod({ name = 'vm', image, memory = '128Mi', cpu, graceSeconds = 30, annotations = {}, spec = {} }: VmPodOptions): Pod {
  return podFromManifest(
    stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, annotations },
      spec: {
        runtimeClassName: 'vm',
        terminationGracePeriodSeconds: graceSeconds,
        containers: [{ name: 'vm', image, resources: { limits: { memory, ...(cpu === undefined ? {} : { cpu }) } } }],
        ...spec,
      },
    }),
  );
}

/** Waits until a line of the container's log matches; answers all lines. */
export async function untilLogged(logPath: string, pattern: RegExp, timeoutMs: number): Promise<string[]> {
  return waitFor(
    async () => {
      const lines = await readLog(logPath);
      return lines.some((line) => pattern.test(line)) && lines;
    },
    { timeoutMs, what: `line ${String(pattern)} in ${logPath}` },
  );
}

/** Throws with everything that pods have left behind. */
export async function requireClean(node: TestNode): Promise<void> {
  const left = await node.leftovers();
  if (left.length > 0) throw new Error(`left behind:\n${left.join('\n')}`);
}
