import type { DiskFormat } from '../../model/image.ts';
import type { Network } from '../http/address-rules.ts';
import type { Resolver } from '../http/http-get.ts';
import type { Transport } from '../http/transport.ts';
import type { Wrapping } from '../layer/wrapping.ts';
import type { Reference } from '../reference.ts';
import type { BlobSource } from '../transfer/blob-source.ts';

/** Credentials of one PullImage (CRI's AuthConfig); all may be absent. Never logged. */
export interface RegistryAuth {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Base64 of `username:password`. */
  readonly auth?: string | undefined;
  /** Whom these are for; used only where its host is the registry's, if given. */
  readonly serverAddress?: string | undefined;
  /** An OAuth2 refresh token. */
  readonly identityToken?: string | undefined;
  /** Sent to the registry as a bearer token. */
  readonly registryToken?: string | undefined;
}

/** A layer that may hold the disk. */
export interface RegistryLayer {
  /** `sha256:<64 hex>`, which the blob must have. */
  readonly digest: string;
  /** As the manifest says; a blob of another size is refused. */
  readonly sizeBytes: number;
  readonly wrapping: Wrapping;
  readonly format: DiskFormat;
  readonly source: BlobSource;
}

/** An image whose manifest is known and whose signature, where the policy wants one, is verified. */
export interface ResolvedImage {
  /** Of the manifest or index that the reference leads to: what `repo_digests` shows. */
  readonly digest: string;
  /** In the manifest's order; exactly one must hold a disk. An artifact has exactly one. */
  readonly layers: readonly RegistryLayer[];
}

/** A manifest or index as the registry gave it. */
export interface RawManifest {
  /** Without parameters; one of those that we ask for. */
  readonly mediaType: string;
  readonly bytes: Buffer;
  /** `sha256:<64 hex>`, computed over `bytes`. */
  readonly digest: string;
}

/** What else lies in an image's repository, such as its signatures. Errors as of `RegistryPull.resolve`. */
export interface RepositoryContents {
  /** The manifest with this tag or digest, at most 4 MiB; `undefined` when the registry has none. A digest is verified. */
  readonly manifest: (tagOrDigest: string, signal: AbortSignal) => Promise<RawManifest | undefined>;
  /** The blob with this digest (`sha256:<64 hex>`), which is verified. Throws `PullProblem` (too-large) beyond `maxBytes`. */
  readonly blob: (digest: string, maxBytes: number, signal: AbortSignal) => Promise<Buffer>;
}

/** An image as a signature policy sees it. */
export interface NamedImage {
  /** The registry, `docker.io` where the reference names none. */
  readonly host: string;
  /** With `library/` where docker.io's own images have one. */
  readonly repository: string;
  readonly reference: Reference;
  /** Of the manifest or index that the reference leads to. */
  readonly digest: string;
}

/** Throws where the policy wants a signature that the image does not have. */
export type VerifySignature = (image: NamedImage, contents: RepositoryContents, signal: AbortSignal) => Promise<void>;

/** Images in registries; dispose to close its connections. */
export interface RegistryPull extends Disposable {
  /** Throws `PullProblem`, INVALID (`images.registryHostsDir` holds what cannot be), what `verifySignature` throws, or the signal's reason. */
  readonly resolve: (reference: Reference, signal: AbortSignal) => Promise<ResolvedImage>;
  /** What lies in the repository that `reference` names. */
  readonly contents: (reference: Reference, signal: AbortSignal) => Promise<RepositoryContents>;
}

/** Begins a pull with the credentials of one caller. */
export type OpenRegistry = (auth: RegistryAuth | undefined) => RegistryPull;

/** How registries are reached. */
export interface RegistryOptions {
  /** `images.registryHostsDir`; need not exist. Read anew at each pull. */
  readonly hostsDir: string;
  /** `images.allowedNetworks`. */
  readonly allowedNetworks: readonly Network[];
  /** Largest sum of an image's layers, bytes. */
  readonly maxBytes: number;
  /** Timeouts, redirects and proxy; default `plainTransport`. */
  readonly transport?: Transport | undefined;
  /** Node's word for the guests' architecture (`x64`, `arm64`); default `process.arch`. */
  readonly architecture?: string | undefined;
}

/** What pulls from registries work with; all may be absent. */
export interface RegistryDeps {
  /** Called with the top-level digest before `resolve` answers. */
  readonly verifySignature?: VerifySignature | undefined;
  /** Resolves host names; default: as the system does. */
  readonly resolver?: Resolver | undefined;
  /** Waits between attempts; throws when the signal aborts. */
  readonly wait?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined;
}
