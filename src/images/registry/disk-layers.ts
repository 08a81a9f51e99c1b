import type { DiskFormat } from '../../model/image.ts';
import { PullProblem } from '../failures.ts';
import type { Compression, Wrapping } from '../layer/wrapping.ts';
import { sha256Of, titleKey, type Descriptor, type ImageManifest } from './manifest.ts';
import { isImageConfig } from './media-types.ts';
import { quoted } from '../quoted.ts';

/** A layer and how its bytes are to be read. */
export interface DiskLayer {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly wrapping: Wrapping;
  readonly format: DiskFormat;
}

/** True for a container image, whose disk lies under `disk/` in one of its layers; else it is an artifact, whose layer is the disk. */
export function isContainerImage({ config, artifactType }: ImageManifest): boolean {
  return artifactType === undefined && isImageConfig(config.mediaType);
}

/**
 * The layers that may hold the disk: all of a container image (KubeVirt's containerDisk), the one that is the disk of an artifact (as `oras push`
 * makes them). Throws `PullProblem`: manifest, or too-large when they are more than `maxBytes` together.
 */
export function diskLayersOf(manifest: ImageManifest, maxBytes: number, what: string): readonly DiskLayer[] {
  const layers = isContainerImage(manifest)
    ? manifest.layers.map((layer) => archiveOf(layer, what))
    : [artifactDisk(manifest.layers, what)];
  const total = layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (total > maxBytes) throw new PullProblem('too-large', `${what} has ${total} bytes, more than images.maxBytes allows (${maxBytes})`);
  return layers;
}

const archives: Readonly<Record<string, Compression>> = {
  'application/vnd.oci.image.layer.v1.tar': 'none',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
};

function archiveOf(layer: Descriptor, what: string): DiskLayer {
  refuseForeign(layer, what);
  const compression = Object.hasOwn(archives, layer.mediaType) ? archives[layer.mediaType] : undefined;
  if (compression === undefined) {
    throw new PullProblem('manifest', `${what} has a layer of the type ${quoted(layer.mediaType)}, which is no layer of a container image`);
  }
  return { digest: sha256Of(layer, what), sizeBytes: layer.size, wrapping: { compression, archive: 'tar' }, format: 'qcow2' };
}

/** Layers that a registry does not give itself lead to servers that anybody may have written there (CVE-2020-15157). */
function refuseForeign({ mediaType, urls }: Descriptor, what: string): void {
  if ((urls ?? []).length > 0 || /\.(foreign|nondistributable)\./.test(mediaType))
    throw new PullProblem('manifest', `${what} has a foreign layer, which lies outside of the registry: not supported`);
}

function artifactDisk(layers: readonly Descriptor[], what: string): DiskLayer {
  const disks = layers.flatMap((layer) => {
    const reading = readingOf(layer.mediaType, titleOf(layer));
    return reading ? [{ layer, reading }] : [];
  });
  const [disk, another] = disks;
  if (!disk || another) {
    const count = disks.length === 0 ? 'no layer' : `${disks.length} layers`;
    throw new PullProblem(
      'manifest',
      `${what} is an artifact with ${count} whose media type or title says qcow2 or raw; it has ${listed(layers)}`,
    );
  }
  const { layer, reading } = disk;
  refuseForeign(layer, what);
  const { format, compression } = reading;
  return { digest: sha256Of(layer, what), sizeBytes: layer.size, wrapping: { compression, archive: 'none' }, format };
}

/** How an artifact's layer is to be read; `undefined` when it is no disk. The media type decides; the title says what that leaves open. */
export function readingOf(
  mediaType: string,
  title: string,
): { readonly format: DiskFormat; readonly compression: Compression } | undefined {
  const typed = typedFormat(mediaType.toLowerCase());
  const titled = titledFormat(title.toLowerCase());
  const format = typed?.format ?? titled?.format;
  return format && { format, compression: typed?.compression ?? titled?.compression ?? 'none' };
}

interface Said {
  readonly format: DiskFormat;
  readonly compression: Compression | undefined;
}

const suffixes: Readonly<Record<string, Compression>> = { gzip: 'gzip', gz: 'gzip', zstd: 'zstd', zst: 'zstd', xz: 'xz' };

function typedFormat(mediaType: string): Said | undefined {
  const words = /^application\/((?:vnd|x)[.-][a-z0-9.+_-]+)$/.exec(mediaType)?.[1];
  if (words === undefined) return undefined;
  const [, kind = '', suffix = ''] = /^(.*?)(?:[+.](gzip|gz|zstd|zst|xz))?$/.exec(words) ?? [];
  if (/qcow2/.test(kind)) return { format: 'qcow2', compression: suffixes[suffix] };
  return /[.-]raw(?![a-z0-9])/.test(kind) ? { format: 'raw', compression: suffixes[suffix] } : undefined;
}

/** `.img` says nothing: distributions give it to qcow2 and raw disks alike. */
function titledFormat(title: string): Said | undefined {
  const [, end, suffix = ''] = /\.(qcow2|raw)(?:\.(gz|zst|xz))?$/.exec(title) ?? [];
  if (end === undefined) return undefined;
  return { format: end === 'qcow2' ? 'qcow2' : 'raw', compression: suffixes[suffix] ?? 'none' };
}

function titleOf({ annotations }: Descriptor): string {
  const title = annotations?.[titleKey];
  return typeof title === 'string' ? title.slice(-200) : '';
}

const mostListed = 5;

function listed(layers: readonly Descriptor[]): string {
  const names = layers.slice(0, mostListed).map((layer) => `${quoted(layer.mediaType)} titled ${quoted(titleOf(layer))}`);
  return `${names.join(', ')}${layers.length > mostListed ? ` and ${layers.length - mostListed} more` : ''}`;
}
