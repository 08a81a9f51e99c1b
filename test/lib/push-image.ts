import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { RegistryCall, RegistryReply, TestRegistry } from './registry-process.ts';

/** What a manifest says of a blob or another manifest. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
}

/** Where something is pushed. */
export interface PushTarget {
  readonly registry: TestRegistry;
  readonly repository: string;
  /** The `Authorization` field, where the registry's own user will not do. */
  readonly authorization?: string;
}

/** Media types of images. */
export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  tar: 'application/vnd.oci.image.layer.v1.tar',
  empty: 'application/vnd.oci.empty.v1+json',
} as const;

/** `sha256:<64 hex>` */
export function digestOf(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Uploads a blob, from memory or a file, in one request. */
export async function pushBlob(target: PushTarget, content: Buffer | { readonly file: string }, mediaType: string): Promise<Descriptor> {
  const [digest, size] = Buffer.isBuffer(content)
    ? [digestOf(content), content.length]
    : [await fileDigest(content.file), statSync(content.file).size];
  const opened = await call(target, 'blobs/uploads/', { method: 'POST', headers: { 'content-length': '0' } });
  const location = new URL(String(opened.headers['location']), target.registry.url);
  location.searchParams.set('digest', digest);
  await call(target, location.href, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
    body: Buffer.isBuffer(content) ? content : createReadStream(content.file),
  });
  return { mediaType, digest, size };
}

/** Uploads a manifest or index under a tag, or under its own digest. */
export async function pushManifest(
  target: PushTarget,
  manifest: Readonly<Record<string, unknown>> & { readonly mediaType: string },
  tag?: string,
): Promise<Descriptor> {
  const { mediaType } = manifest;
  const body = Buffer.from(JSON.stringify(manifest));
  const digest = digestOf(body);
  await call(target, `manifests/${tag ?? digest}`, { method: 'PUT', headers: { 'content-type': mediaType }, body });
  return { mediaType, digest, size: body.length };
}

/** An image with one disk under `disk/`. */
export interface ContainerDisk {
  readonly tag?: string;
  readonly disk: Buffer;
  readonly compression?: 'none' | 'gzip' | 'zstd';
  readonly architecture?: string;
}

/** Pushes a containerDisk: a layer of one tar, and the configuration that container builders write. */
export async function pushContainerDisk(
  target: PushTarget,
  image: ContainerDisk,
): Promise<{ readonly manifest: Descriptor; readonly layer: Descriptor }> {
  const { tag, disk, compression = 'none', architecture = hostArchitecture } = image;
  const tar = diskTar(disk);
  const layer = await pushBlob(target, compressed(tar, compression), `${mediaTypes.tar}${compression === 'none' ? '' : `+${compression}`}`);
  const configText = JSON.stringify({ os: 'linux', architecture, rootfs: { type: 'layers', diff_ids: [digestOf(tar)] }, config: {} });
  const config = await pushBlob(target, Buffer.from(configText), mediaTypes.config);
  const manifest = await pushManifest(target, { schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: [layer] } as const, tag);
  return { manifest, layer };
}

/** A file of an artifact, as `oras push FILE:TYPE` makes a layer of it. */
export interface ArtifactFile {
  readonly content: Buffer;
  readonly mediaType: string;
  readonly title?: string;
}

/** Pushes an artifact of the OCI image-spec 1.1: an empty configuration and a layer a file. */
export async function pushArtifact(
  target: PushTarget,
  artifact: { readonly tag?: string; readonly files: readonly ArtifactFile[]; readonly artifactType?: string },
): Promise<{ readonly manifest: Descriptor; readonly layers: readonly Descriptor[] }> {
  const { tag, files, artifactType = 'application/vnd.example.disk' } = artifact;
  const config = await pushBlob(target, Buffer.from('{}'), mediaTypes.empty);
  const layers: Descriptor[] = [];
  for (const { content, mediaType, title } of files) {
    const annotations = title === undefined ? {} : { annotations: { 'org.opencontainers.image.title': title } };
    layers.push({ ...(await pushBlob(target, content, mediaType)), ...annotations });
  }
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.manifest, artifactType, config, layers } as const;
  return { manifest: await pushManifest(target, manifest, tag), layers };
}

/** Pushes an index of manifests that are there already. */
export async function pushIndex(target: PushTarget, manifests: readonly Descriptor[], tag?: string): Promise<Descriptor> {
  return pushManifest(target, { schemaVersion: 2, mediaType: mediaTypes.index, manifests } as const, tag);
}

/** This machine's architecture, as platforms are written. */
export const hostArchitecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** `disk/vm.qcow2` in a ustar archive, owned by QEMU's user as KubeVirt wants it. */
function diskTar(disk: Buffer): Buffer {
  const padding = Buffer.alloc((512 - (disk.length % 512)) % 512);
  return Buffer.concat([ustarHeader('disk/', '5', 0), ustarHeader('disk/vm.qcow2', '0', disk.length), disk, padding, Buffer.alloc(1024)]);
}

function ustarHeader(name: string, type: '0' | '5', size: number): Buffer {
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;
  const fields = [name.padEnd(100, '\0'), octal(0o644, 8), octal(107, 8), octal(107, 8), octal(size, 12), octal(0, 12)];
  const tail = [type, '\0'.repeat(100), 'ustar\x0000'].join('');
  const header = Buffer.alloc(512);
  header.write(`${fields.join('')}        ${tail}`, 'latin1');
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  );
  return header;
}

function compressed(tar: Buffer, compression: 'none' | 'gzip' | 'zstd'): Buffer {
  if (compression === 'none') return tar;
  return compression === 'gzip' ? gzipSync(tar) : zstdCompressSync(tar);
}

async function fileDigest(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return `sha256:${hash.digest('hex')}`;
}

async function call({ registry, repository, authorization }: PushTarget, path: string, options: RegistryCall): Promise<RegistryReply> {
  const headers = { ...options.headers, ...(authorization === undefined ? {} : { authorization }) };
  const reply = await registry.call(path.startsWith('http') ? path : `/v2/${repository}/${path}`, { ...options, headers });
  if (reply.status >= 300) throw new Error(`${options.method} ${path}: ${reply.status} ${reply.body.toString('utf8')}`);
  return reply;
}
