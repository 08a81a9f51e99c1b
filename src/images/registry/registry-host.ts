import type { Transport } from '../http/transport.ts';

/** A server that may have an image: a mirror, or the registry itself. */
export interface RegistryHost {
  /** Base of its API, such as `https://registry.example/v2`. */
  readonly url: URL;
  /** The registry that references name, or what its own directory calls its server; what else there is are mirrors. */
  readonly isRegistryItself: boolean;
  readonly canPull: boolean;
  readonly canResolve: boolean;
  /** Whether the operator wrote this host. */
  readonly isConfigured: boolean;
  /** Go to this host alone. */
  readonly headers: Readonly<Record<string, string>>;
  readonly transport: Transport;
  /** What to do about a certificate that is not trusted, and one that the server wants of us, for messages. */
  readonly hints: { readonly ca: string; readonly client: string };
}
