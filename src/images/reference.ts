import { invalid, type VmletError } from '../model/errors.ts';

/**
 * An image reference as the user wrote it: `[host[:port]/]path[:tag][@sha256:digest]`. Nothing is added to the name: what other runtimes
 * turn into `docker.io/library/...` stays short here. Source of the grammar: the reference grammar of the distribution project.
 */
export interface Reference {
  /** Host and path. */
  readonly name: string;
  readonly tag?: string;
  /** `sha256:<64 hex>`. */
  readonly digest?: string;
}

/** The tag that a reference without tag and digest means. */
const defaultTag = 'latest';

const maxNameLength = 255;
const hostPart = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*$/;
const ipv6Host = /^\[[0-9a-fA-F:.]{2,45}\]$/;
const pathPart = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagForm = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const digestForm = /^sha256:[0-9a-f]{64}$/;

/** Reads a reference. Throws INVALID, whose message says which part is wrong and what it may be. */
export function parseReference(text: string): Reference {
  if (text === '') throw problem(text, 'is empty');
  if (text.length > maxNameLength + 256) throw problem(text, 'is too long');
  const at = text.indexOf('@');
  const [named, digest] = at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
  if (digest !== undefined && !digestForm.test(digest))
    throw problem(text, 'the digest after @ must be sha256: and 64 lowercase hexadecimal digits');
  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/') && !named.endsWith(']');
  const [name, tag] = hasTag ? [named.slice(0, colon), named.slice(colon + 1)] : [named, undefined];
  if (tag !== undefined && !isTag(tag))
    throw problem(text, 'the tag must be 1 to 128 letters, digits, _, . or -, and not begin with . or -');
  checkName(text, name);
  return { name, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

/** True for what may stand as a tag. */
export function isTag(text: string): boolean {
  return tagForm.test(text);
}

/** The text that reads as this reference. */
export function formatReference(reference: Reference): string {
  const { name, tag, digest } = reference;
  return `${name}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/**
 * Under which name an image is kept and found: `name@digest` if there is a digest (the tag is then a remark, as everywhere in the field),
 * else `name:tag` with the default tag filled in.
 */
export function keyOf(reference: Reference): string {
  const { name, tag, digest } = reference;
  return digest === undefined ? `${name}:${tag ?? defaultTag}` : `${name}@${digest}`;
}

/** The ways in which a configuration may spell this reference, the shortest first: without tag only if it is the default one. */
export function spellingsOf(reference: Reference): readonly string[] {
  const { name, tag = defaultTag } = reference;
  return tag === defaultTag ? [name, `${name}:${tag}`] : [`${name}:${tag}`];
}

/**
 * The name's parts: a first component with a dot, colon, bracket or capital letter, or `localhost`, is a host with an optional port, if it can be one.
 * The host is as written, `undefined` where there is none.
 */
export function splitName(name: string): { readonly host: string | undefined; readonly path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const looksLikeHost = /[.:[]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  const hasHost = slash >= 0 && looksLikeHost && (hostPart.test(first) || !pathPart.test(first)); // `a.b__c/d` has none
  return hasHost ? { host: first, path: name.slice(slash + 1) } : { host: undefined, path: name };
}

function checkName(text: string, name: string): void {
  if (name === '') throw problem(text, 'the name is missing');
  if (name.length > maxNameLength) throw problem(text, `the name is longer than ${maxNameLength} characters`);
  const { host, path } = splitName(name);
  if (host !== undefined) checkHost(text, host);
  for (const part of path.split('/')) {
    if (!pathPart.test(part)) {
      throw problem(text, `"${part}" must be lowercase letters and digits, joined by ., _, __ or -`);
    }
  }
  if (name === 'sha256' || /^[0-9a-f]{64}$/.test(name)) throw problem(text, 'this is the form of an image id, not of a name');
}

function checkHost(text: string, host: string): void {
  const port = /:([0-9]+)$/.exec(host);
  const address = port ? host.slice(0, port.index) : host;
  if (port && (Number(port[1]) < 1 || Number(port[1]) > 65_535)) throw problem(text, 'the port must be 1 to 65535');
  if (!hostPart.test(address) && !ipv6Host.test(address))
    throw problem(text, `"${host}" is not a host name or address with an optional port`);
}

function problem(text: string, what: string): VmletError {
  return invalid('image', `${JSON.stringify(text.slice(0, 300))}: ${what}`);
}
