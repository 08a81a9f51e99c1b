import { pause } from '../../lib/signals.ts';
import { plainTransport } from '../http/transport.ts';
import type { Reference } from '../reference.ts';
import { areFor, areNamedFor, credentialsOf } from './credentials.ts';
import { keepTlsSettings } from './host-certificates.ts';
import { makeHostSession, type HostSession } from './host-session.ts';
import { architectureOf } from './platform.ts';
import type { RegistryHost } from './registry-host.ts';
import { readRegistryHosts } from './registry-hosts.ts';
import type { OpenRegistry, RegistryAuth, RegistryDeps, RegistryOptions } from './registry.ts';
import { makeRepository, type Repository } from './repository.ts';
import { repositoryNameOf } from './repository-name.ts';
import { resolveImage } from './resolve-image.ts';

/** Makes pulls from OCI registries (distribution-spec 1.1). Each reads the hosts' configuration anew. Throws for an architecture that vmlet does not run on. */
export function makeRegistry(options: RegistryOptions, deps: RegistryDeps = {}): OpenRegistry {
  const { hostsDir, allowedNetworks, maxBytes, transport = plainTransport } = options;
  const { verifySignature, resolver, wait = pause } = deps;
  const architecture = architectureOf(options.architecture ?? process.arch);

  const sameTls = keepTlsSettings();

  return (auth) => {
    const sessions: HostSession[] = [];
    const repositories = new Map<string, Promise<Repository>>();

    async function open(reference: Reference): Promise<Repository> {
      const { host: registry, repository } = repositoryNameOf(reference);
      const credentials = credentialsOf(auth);
      const hosts = await readRegistryHosts(registry, { hostsDir, transport, sameTls });
      const opened = hosts.map((host) => {
        const own = mayHave(auth, host, registry) ? credentials : undefined;
        return makeHostSession({ host, registry, repository, credentials: own, allowedNetworks, resolver });
      });
      sessions.push(...opened);
      return makeRepository({ name: `${registry}/${repository}`, sessions: opened, wait });
    }

    async function opened(reference: Reference, signal: AbortSignal): Promise<Repository> {
      signal.throwIfAborted();
      const known = repositories.get(reference.name) ?? open(reference);
      repositories.set(reference.name, known);
      return known;
    }

    return {
      contents: opened,
      resolve: async (reference, signal) => {
        const repository = await opened(reference, signal);
        return resolveImage({ reference, repository, architecture, maxBytes, verifySignature }, signal);
      },
      [Symbol.dispose]: () => {
        for (const session of sessions.splice(0)) session[Symbol.dispose]();
      },
    };
  };
}

/** Credentials belong to the registry that the reference names; a mirror has them only if they name it themselves. */
function mayHave(auth: RegistryAuth | undefined, host: RegistryHost, registry: string): boolean {
  if (auth === undefined) return false;
  return (host.isRegistryItself && areFor(auth, registry)) || areNamedFor(auth, host.url.host);
}
