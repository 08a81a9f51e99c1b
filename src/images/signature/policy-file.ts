import { parseDocument } from 'yaml';
import { z } from 'zod';
import { messageOf } from '../../lib/errno.ts';
import { readSmallFile } from '../../lib/small-file.ts';
import { invalid } from '../../model/errors.ts';
import { parseReference } from '../reference.ts';
import { scopeKeys, type Policy, type Requirement, type Rule } from './policy.ts';
import { parsePublicKey, type PublicKey } from './public-key.ts';

const maxFileBytes = 2 ** 20;

const rule = z.union([
  z.enum(['accept', 'refuse']),
  z.strictObject({
    require: z.strictObject({
      keys: z
        .array(z.string().regex(/^\/[^\0]+$/, 'must be an absolute path of a public key'))
        .min(1, 'must name at least one public key')
        .max(16, 'must name at most 16 public keys'),
      identity: z.enum(['any', 'repository']).default('any'),
    }),
  }),
]);

/**
 * The policy file. Its shape is the smallest that those who know containers-policy.json(5) and cosign expect: a default that must be
 * written, scopes that are repositories or beginnings of them, keys as files. Left out: transports, several requirements for one scope, GPG,
 * keyless signatures.
 */
const policySchema = z.strictObject({
  version: z.literal(1, 'must be 1'),
  default: rule,
  repositories: z.record(z.string(), rule).default({}),
});

type WrittenRule = z.output<typeof rule>;

/**
 * Reads a policy (YAML, of which JSON is a part) and the keys that it names. Throws INVALID for `images.signaturePolicy` with all that is
 * wrong, each with file and key: unknown and repeated keys, scopes that are no repositories, keys that cannot be used or read.
 */
export async function loadPolicy(file: string): Promise<Policy> {
  const written = check(file, await read(file));
  const problems: string[] = [];
  const keys = new Map<string, Promise<PublicKey | string>>();

  async function ruleOf(key: string, value: WrittenRule): Promise<Rule> {
    if (typeof value === 'string') return { kind: value };
    const read = await Promise.all(
      value.require.keys.map(async (keyFile) => {
        if (!keys.has(keyFile)) keys.set(keyFile, readKey(keyFile));
        return { keyFile, found: await keys.get(keyFile) };
      }),
    );
    for (const { keyFile, found } of read) {
      if (typeof found === 'string') problems.push(`${key}.require.keys: ${keyFile} ${found}`);
    }
    return {
      kind: 'require',
      keys: read.flatMap(({ found }) => (typeof found === 'object' ? [found] : [])),
      identity: value.require.identity,
    };
  }

  const repositories = new Map<string, Requirement>();
  for (const [scope, value] of Object.entries(written.repositories)) {
    const key = `repositories[${JSON.stringify(scope.slice(0, 300))}]`;
    const problem = scopeProblem(scope);
    if (problem !== undefined) problems.push(`${key}: ${problem}`);
    const names = problem === undefined ? scopeKeys(scope) : [];
    if (names.some((name) => repositories.has(name))) problems.push(`${key}: is there twice, in another spelling`);
    const requirement = { ...(await ruleOf(key, value)), scope };
    for (const name of names) repositories.set(name, requirement);
  }
  const fallback = await ruleOf('default', written.default);
  if (problems.length > 0) throw policyProblem(file, problems);
  return { default: fallback, repositories };
}

function check(file: string, text: string): z.output<typeof policySchema> {
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error) throw policyProblem(file, [error.message.split('\n')[0] ?? 'is not YAML']);
  let tree: unknown;
  try {
    tree = document.toJS();
  } catch (problem) {
    throw policyProblem(file, [messageOf(problem)]);
  }
  const checked = policySchema.safeParse(tree ?? {});
  if (checked.success) return checked.data;
  throw policyProblem(file, checked.error.issues.flatMap(problemsOf));
}

/** Of a rule that fits neither form, what is wrong with the form that was meant. */
function problemsOf(issue: z.core.$ZodIssue): string[] {
  const at = keyText(issue.path);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => `${keyText([...issue.path, key])}: is not a key of a signature policy`);
  if (issue.code !== 'invalid_union') return [`${at}: ${issue.message}`];
  const inner = issue.errors.find((issues) => issues.some(({ path, code }) => path.length > 0 || code === 'unrecognized_keys'));
  if (!inner) return [`${at}: must be accept, refuse, or require with keys`];
  return inner.flatMap((each) => problemsOf({ ...each, path: [...issue.path, ...each.path] }));
}

function keyText(path: readonly PropertyKey[]): string {
  const [first, second, ...rest] = path.map(String);
  if (first === undefined) return 'the policy';
  if (first !== 'repositories' || second === undefined) return [first, second, ...rest].filter((part) => part !== undefined).join('.');
  return [`repositories[${JSON.stringify(second)}]`, ...rest].join('.');
}

/** A scope is a host, a repository, or a repository's beginning: without tag and digest, for those are no part of a repository. */
function scopeProblem(scope: string): string | undefined {
  try {
    const { name, tag, digest } = parseReference(scope.includes('/') ? scope : `${scope}/x`);
    if (tag === undefined && digest === undefined && name !== '') return undefined;
    return 'must be a repository or the beginning of one, without tag and digest';
  } catch (error) {
    return `must be a repository or the beginning of one, like registry.example/disks: ${messageOf(error)}`;
  }
}

async function readKey(file: string): Promise<PublicKey | string> {
  try {
    return parsePublicKey(await readText(file), file);
  } catch (error) {
    return `cannot be read: ${messageOf(error)}`;
  }
}

async function read(file: string): Promise<string> {
  try {
    return await readText(file);
  } catch (error) {
    throw policyProblem(file, [`cannot be read: ${messageOf(error)}`]);
  }
}

async function readText(file: string): Promise<string> {
  return new TextDecoder('utf-8', { fatal: true }).decode(await readSmallFile(file, maxFileBytes));
}

function policyProblem(file: string, problems: readonly string[]): Error {
  return invalid('images.signaturePolicy', `${file}: ${problems.join('; ')}`);
}
