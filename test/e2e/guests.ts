import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import { makeBootDisk, type BootSectorKind } from '../../images/bootsector/sectors.ts';
import { podFromManifest, readLog, type Pod } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import type { NodeImage, TestNode } from '../node/node.ts';

/** Boot sectors as images that a node knows as `boot.example/KIND`. */
export interface BootImages extends Disposable {
  readonly images: readonly NodeImage[];
  /** The disks' files, in the same order. */
  readonly files: readonly string[];
}

/** Writes the disks to a temporary directory. */
export function bootImages(...kinds: readonly BootSectorKind[]): BootImages {
  return writeImages(kinds, (_dir, file) => ({ file, format: 'raw' }));
}

/** The same as qcow2, which the door inspects with programs. */
export function bootImagesAsQcow2(...kinds: readonly BootSectorKind[]): BootImages {
  return writeImages(kinds, (dir, raw) => {
    const file = join(dir, `${basename(raw)}.qcow2`);
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, file]);
    return { file, format: 'qcow2' };
  });
}

function writeImages(
  kinds: readonly BootSectorKind[],
  publish: (dir: string, raw: string) => { readonly file: string; readonly format: 'raw' | 'qcow2' },
): BootImages {
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-boot-'));
  const images = kinds.map((kind): NodeImage => {
    const raw = join(dir, `${kind}.raw`);
    writeFileSync(raw, makeBootDisk(kind));
    return { name: bootImage(kind), ...publish(dir, raw) };
  });
  const files = images.flatMap((image) => ('file' in image ? [image.file] : []));
  return { images, files, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) };
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
