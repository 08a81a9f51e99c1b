import type { PublicKey } from './public-key.ts';

/** What a repository's images must have. */
export type Rule =
  | { readonly kind: 'accept' }
  | { readonly kind: 'refuse' }
  | {
      readonly kind: 'require';
      /** A signature by any one of them is enough; at least one. */
      readonly keys: readonly PublicKey[];
      /** Whether the repository that the signer wrote into the signature must be the image's own; see `payload.ts`. */
      readonly identity: 'any' | 'repository';
    };

/** The rule that holds for a repository, and where the policy says so: its key as written, or `default`. */
export type Requirement = Rule & { readonly scope: string };

/** Which images a node takes. */
export interface Policy {
  readonly default: Rule;
  /** By what `scopeKeys` gives for the repositories and beginnings of them that the policy has. */
  readonly repositories: ReadonlyMap<string, Requirement>;
}

/** The policy of a node that has none. */
export const acceptAll: Policy = { default: { kind: 'accept' }, repositories: new Map() };

/**
 * The rule for a repository (a reference's `name`, or host and path as a registry is asked): that of the repository itself, else of the longest
 * beginning of whole components (`registry.example/disks` holds for `registry.example/disks/debian`, not for `registry.example/disks-old`), else
 * the default.
 */
export function requirementFor(policy: Policy, repositoryName: string): Requirement {
  const components = canonicalRepository(repositoryName).split('/');
  for (let count = components.length; count > 0; count -= 1) {
    const requirement = policy.repositories.get(components.slice(0, count).join('/'));
    if (requirement) return requirement;
  }
  return { ...policy.default, scope: 'default' };
}

/**
 * One spelling for all that reach one repository, so that a pod's author gets round no rule by writing a name otherwise: the host in lower case,
 * without https' own port, addresses in their usual form; a name without host is Docker Hub's, as everywhere in the field (`debian` is
 * `docker.io/library/debian`).
 */
export function canonicalRepository(name: string): string {
  const [first = '', ...rest] = name.split('/');
  if (rest.length === 0) return `${hub}/library/${name}`;
  if (!isHost(first)) return `${hub}/${name}`;
  const host = canonicalHost(first);
  return [host, ...(host === hub && rest.length === 1 ? ['library'] : []), ...rest].join('/');
}

/**
 * Under which keys a policy has its rule for a scope, which is a host, a repository, or the beginning of repositories: a scope that could be
 * several of these (`disks` of `disks/debian`, and `docker.io/library/disks`) holds for each.
 */
export function scopeKeys(scope: string): readonly string[] {
  const components = scope.split('/');
  const [first = '', second] = components;
  if (second === undefined && isHost(first)) {
    const host = canonicalHost(first);
    return /[:[]/.test(first) ? [host] : [host, canonicalRepository(scope)];
  }
  const path = isHost(first) ? components.slice(1) : components;
  const isHubs = !isHost(first) || canonicalHost(first) === hub;
  return isHubs && path.length === 1 ? [`${hub}/library/${path[0]}`, `${hub}/${path[0]}`] : [canonicalRepository(scope)];
}

const hub = 'docker.io';
const hubHosts: ReadonlySet<string> = new Set([hub, 'index.docker.io', 'registry-1.docker.io']);

/** As references are read (`reference.ts`): `a.b__c/d` has no host. */
function isHost(component: string): boolean {
  const looksLikeHost = /[.:[A-Z]/.test(component) || component === 'localhost';
  return looksLikeHost && /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]+)?$/.test(component);
}

function canonicalHost(written: string): string {
  const host = URL.parse(`https://${written}`)?.host ?? written.toLowerCase();
  return hubHosts.has(host) ? hub : host;
}
