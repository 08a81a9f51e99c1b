import { onTestFinished } from 'vitest';
import { parseReference } from '../../src/images/reference.ts';
import { makeRegistry } from '../../src/images/registry/registry-pull.ts';
import type {
  RegistryAuth,
  RegistryDeps,
  RegistryLayer,
  RegistryOptions,
  RegistryPull,
  ResolvedImage,
} from '../../src/images/registry/registry.ts';
import type { BlobRequest } from '../../src/images/transfer/blob-source.ts';
import { digestOf, mediaTypes } from './push-image.ts';
import type { DoubleAnswer, RegistryDouble } from './registry-double.ts';

const signal = AbortSignal.timeout(50_000);

/** A pull that ends with the running test; between attempts it does not wait. */
export function openPull(hostsDir: string, auth?: RegistryAuth, more: Partial<RegistryOptions> & RegistryDeps = {}): RegistryPull {
  const options = { hostsDir, allowedNetworks: [], maxBytes: 2 ** 30, ...more };
  const pull = makeRegistry(options, { wait: async () => undefined, ...more })(auth);
  onTestFinished(() => pull[Symbol.dispose]());
  return pull;
}

/** Resolves a reference's text. */
export async function resolve(pull: RegistryPull, reference: string): Promise<ResolvedImage> {
  return pull.resolve(parseReference(reference), signal);
}

/** Reads a layer or a part of it. */
export async function readLayer(layer: RegistryLayer | undefined, request: BlobRequest = {}): Promise<Buffer> {
  const body = await layer?.source.open(request, signal);
  if (body?.kind !== 'body') throw new Error('no body');
  const chunks: Buffer[] = [];
  for await (const chunk of body.chunks) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Lets a double answer `vms/one:v1`, an artifact whose one layer is `disk`; `guard` may answer instead. */
export function serveArtifact(
  double: RegistryDouble,
  disk: Buffer,
  guard: (...args: Parameters<DoubleAnswer>) => boolean = () => false,
): { readonly manifest: Buffer; readonly manifestPath: string; readonly blobPath: string } {
  const layer = { mediaType: 'application/vnd.vm.disk.qcow2', digest: digestOf(disk), size: disk.length };
  const config = { mediaType: mediaTypes.empty, digest: digestOf('{}'), size: 2 };
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: [layer] }));
  const manifestPath = '/v2/vms/one/manifests/v1';
  const blobPath = `/v2/vms/one/blobs/${layer.digest}`;
  const giveManifest: DoubleAnswer = (...args) => {
    if (!guard(...args)) args[1].setHeader('content-type', mediaTypes.manifest).end(manifest);
  };
  double.answer(manifestPath, giveManifest);
  double.answer(`/v2/vms/one/manifests/${digestOf(manifest)}`, giveManifest);
  double.answer(blobPath, (...args) => {
    if (!guard(...args)) args[1].end(args[0].method === 'HEAD' ? undefined : disk);
  });
  return { manifest, manifestPath, blobPath };
}
