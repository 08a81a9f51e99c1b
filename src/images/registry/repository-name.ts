import { splitName, type Reference } from '../reference.ts';

/** Where a reference's image lies. */
export interface RepositoryName {
  /** Registry with its port if one is written, in lower case; `docker.io` for names without one. */
  readonly host: string;
  readonly repository: string;
  /** Tag or digest, as the registry is asked for it. */
  readonly tagOrDigest: string;
}

const dockerHub = 'docker.io';
const dockerHubApi = 'registry-1.docker.io';

/**
 * What a reference means to a registry: names without a host are docker.io's, whose one-component names lie in `library/`; without tag and digest
 * the tag is `latest`. Source: the familiar names of the distribution project. How references are shown and kept does not change by it.
 */
export function repositoryNameOf(reference: Reference): RepositoryName {
  const { host = dockerHub, path } = splitName(reference.name);
  const canonical = canonicalHost(host);
  const repository = canonical === dockerHub && !path.includes('/') ? `library/${path}` : path;
  return { host: canonical, repository, tagOrDigest: reference.digest ?? reference.tag ?? 'latest' };
}

/** Where a registry answers: docker.io's API has a host of its own. */
export function apiHostOf(host: string): string {
  return host === dockerHub ? dockerHubApi : host;
}

/** One spelling for a registry: in lower case, `docker.io` for its older name. */
export function canonicalHost(host: string): string {
  const lower = host.toLowerCase();
  return lower === 'index.docker.io' ? dockerHub : lower;
}

/** The registry that credentials are for: `serverAddress` may be a host or an address such as `https://index.docker.io/v1/`. */
export function credentialHostOf(serverAddress: string): string {
  const host = serverAddress
    .trim()
    .replace(/^[a-z]+:\/\//i, '')
    .replace(/[/?#].*$/s, '')
    .replace(/:443$/, '');
  const canonical = canonicalHost(host);
  return canonical === dockerHubApi ? dockerHub : canonical;
}
