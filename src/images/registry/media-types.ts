/** What a registry's answer may be. */
export type ManifestKind = 'image' | 'index';

const manifests: Readonly<Record<string, ManifestKind>> = {
  'application/vnd.oci.image.index.v1+json': 'index',
  'application/vnd.docker.distribution.manifest.list.v2+json': 'index',
  'application/vnd.oci.image.manifest.v1+json': 'image',
  'application/vnd.docker.distribution.manifest.v2+json': 'image',
};

const imageConfigs: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]);

/** What we can read, for the `Accept` field. Sources: OCI image-spec 1.1, Docker's image manifest v2 schema 2. */
export const acceptedManifests: string = Object.keys(manifests).join(', ');

/** Which kind a media type is; `undefined` for what is no manifest that we read. */
export function manifestKindOf(mediaType: string): ManifestKind | undefined {
  return Object.hasOwn(manifests, mediaType) ? manifests[mediaType] : undefined;
}

/** Docker's manifest before 2017, which holds no digests of its layers. */
export function isSchema1(mediaType: string): boolean {
  return /^application\/vnd\.docker\.distribution\.manifest\.v1\+(json|prettyjws)$/.test(mediaType);
}

/** True for the configuration of a container image: what else a manifest may have makes it an artifact. */
export function isImageConfig(mediaType: string): boolean {
  return imageConfigs.has(mediaType);
}

/** A media type without its parameters, in lower case. */
export function bareMediaType(field: string | undefined): string {
  return (field ?? '').replace(/;.*$/s, '').trim().toLowerCase();
}
