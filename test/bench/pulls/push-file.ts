import { hostArchitecture, mediaTypes, pushBlob, pushManifest, type PushTarget } from '../../lib/push-image.ts';

/** A file as an image of one layer. */
export interface FileImage {
  readonly file: string;
  readonly tag: string;
  /** `artifact`: the disk itself; `layer`, `gzip`: a containerDisk's layer, plain or packed. */
  readonly kind: keyof typeof layerTypes;
}

const layerTypes = {
  artifact: 'application/vnd.vmlet.disk.qcow2',
  layer: mediaTypes.tar,
  gzip: `${mediaTypes.tar}+gzip`,
} as const;

/** Pushes it; answers the layer's digest. */
export async function pushFile(target: PushTarget, { file, tag, kind }: FileImage): Promise<string> {
  const layer = await pushBlob(target, { file }, layerTypes[kind]);
  const isArtifact = kind === 'artifact';
  const text = isArtifact
    ? '{}'
    : JSON.stringify({ os: 'linux', architecture: hostArchitecture, rootfs: { type: 'layers', diff_ids: [] } });
  const config = await pushBlob(target, Buffer.from(text), isArtifact ? mediaTypes.empty : mediaTypes.config);
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: [layer] } as const;
  await pushManifest(target, isArtifact ? { ...manifest, artifactType: layerTypes.artifact } : manifest, tag);
  return layer.digest;
}
