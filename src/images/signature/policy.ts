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

/** Which images a node takes. */
export interface Policy {
  readonly default: Rule;
  /** By repository or its beginning, in the form that `canonicalRepository` gives. */
  readonly repositories: ReadonlyMap<string, Rule>;
}

/** The rule that holds for a repository, and where the policy says so: its key, or `default`. */
export type Requirement = Rule & { readonly scope: string };

/** The policy of a node that has none. */
export const acceptAll: Policy = { default: { kind: 'accept' }, repositories: new Map() };

/**
 * The rule for a repository (a reference's `name`): that of the repository itself, else of the longest beginning of whole components
 * (`registry.example/disks` holds for `registry.example/disks/debian`, not for `registry.example/disks-old`), else the default.
 */
export function requirementFor(policy: Policy, repositoryName: string): Requirement {
  const components = canonicalRepository(repositoryName).split('/');
  for (let count = components.length; count > 0; count -= 1) {
    const scope = components.slice(0, count).join('/');
    const rule = policy.repositories.get(scope);
    if (rule) return { ...rule, scope };
  }
  return { ...policy.default, scope: 'default' };
}

/**
 * One spelling for what reaches one repository: a host in lower case, without https' own port, addresses in their usual form. A pod's author
 * must not get round a rule by writing the host in capitals.
 */
export function canonicalRepository(name: string): string {
  const slash = name.indexOf('/');
  const first = slash < 0 ? name : name.slice(0, slash);
  return `${/[.:[A-Z]/.test(first) ? canonicalHost(first) : first}${slash < 0 ? '' : name.slice(slash)}`;
}

function canonicalHost(host: string): string {
  return URL.parse(`https://${host}`)?.host ?? host.toLowerCase();
}
