import { createHash } from 'node:crypto';
import { runProgram } from '../../../src/lib/run-program.ts';
import type { Registry } from '../../lib/registry.ts';
import type { Artifact } from './big-disk.ts';

/** A file as an image of one layer. */
export interface FileImage extends Artifact {
  readonly repository: string;
  readonly tag: string;
  /** `artifact`: the disk itself; `layer`, `gzip`: a containerDisk's layer, plain or packed. */
  readonly kind: 'artifact' | 'layer' | 'gzip';
}

const layerTypes = {
  artifact: 'application/vnd.vmlet.disk.qcow2',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const;

/** Pushes it with curl, which streams a file of any size. */
export async function pushFile(registry: Registry, image: FileImage, signal: AbortSignal): Promise<void> {
  const base = `${registry.url}/v2/${image.repository}`;
  const config = image.kind === 'artifact' ? '{}' : JSON.stringify({ architecture: architecture(), os: 'linux' });
  await put(base, image.digest, ['-T', image.file], signal);
  await put(base, digestOf(config), ['-X', 'PUT', '--data-binary', config], signal);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: {
      mediaType: image.kind === 'artifact' ? 'application/vnd.vmlet.disk.config.v1+json' : 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(config),
      size: Buffer.byteLength(config),
    },
    layers: [{ mediaType: layerTypes[image.kind], digest: image.digest, size: image.sizeBytes }],
  });
  const type = 'content-type: application/vnd.oci.image.manifest.v1+json';
  await curl(['-X', 'PUT', '-H', type, '--data-binary', manifest, `${base}/manifests/${image.tag}`], signal);
}

async function put(base: string, digest: string, body: readonly string[], signal: AbortSignal): Promise<void> {
  const started = await fetch(`${base}/blobs/uploads/`, { method: 'POST', signal });
  const location = new URL(started.headers.get('location') ?? '', base);
  location.searchParams.set('digest', digest);
  await curl(['-H', 'content-type: application/octet-stream', ...body, location.href], signal);
}

async function curl(args: readonly string[], signal: AbortSignal): Promise<void> {
  await runProgram('curl', ['-sS', '--fail', ...args], { signal, timeoutMs: 600_000 });
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}
