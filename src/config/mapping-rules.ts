/** A line of a mapping, as far as rules across lines look at it. */
interface Line {
  readonly name?: string | undefined;
  readonly transport?: string | undefined;
}

/** Something wrong with a mapping: the keys that lead to it, and what. */
export interface MappingIssue {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Whether a text is a regular expression by itself: `a)|(?:b` is one only inside the brackets that anchor it. */
export function isExpression(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

/** Whether an address is reached over a network. */
export function isTransportTaken(url: string): boolean {
  return /^https?:\/\//.test(url);
}

/**
 * What is wrong with the address of a source; `match`: its expression, whose groups the address may use. A reference, which a pod's author
 * writes, may fill path and query of a URL and what is below a directory of the node, never the host or the directory.
 */
export function urlProblem(url: string, match: string | undefined): string | undefined {
  const [, head, fixed = ''] = /^(https?:\/\/|file:\/\/\/)([^/?#]*)/.exec(url) ?? [];
  if (head === undefined || !URL.canParse(url)) return 'must be an address that begins with https://, http:// or file:///';
  if (head !== 'file:///' && fixed === '') return 'names no host';
  if (head === 'file:///' && /[?#\\]|%2f|%00|(^|\/)\.\.?(\/|$)/i.test(url.slice(head.length)))
    return 'must be a path without ".", "..", "?", "#" and "\\" (written %3F, %23, %5C)';
  return match === undefined ? undefined : groupProblem(url, match, { isFile: head === 'file:///', fixed });
}

function groupProblem(
  url: string,
  match: string,
  { isFile, fixed }: { readonly isFile: boolean; readonly fixed: string },
): string | undefined {
  if (fixed.includes('$')) {
    return isFile
      ? '$1 ... may stand only below a directory: file:///directory/$1'
      : '$1 ... may stand in path and query only, never in the host';
  }
  const groups = (new RegExp(`${match}|`).exec('')?.length ?? 1) - 1;
  const missing = [...url.matchAll(/\$(\$|[1-9][0-9]?)/g)].find(([, what]) => Number(what) > groups);
  return missing && `uses ${missing[0]}, and match has ${groups} group${groups === 1 ? '' : 's'}`;
}

const label = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?';
const host = String.raw`(?:${label}(?:\.${label})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?`;
const component = String.raw`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`;
const tag = '[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}';
const imageNameForm = new RegExp(`^(?:${host}/)?${component}(?:/${component})*(?::${tag})?$`);

/** Whether a pod could write this as an image without digest (the distribution project's grammar of references). */
export function isImageName(text: string): boolean {
  return text.length <= 255 + 129 && imageNameForm.test(text);
}

/** The full spelling of an image name: the default tag filled in. */
export function fullName(name: string): string {
  return /:[^/]*$/.test(name) ? name : `${name}:latest`;
}

/** Names that stand twice in one list of sources: only one of them can count. */
export function repeatedNames(sources: readonly Line[]): readonly MappingIssue[] {
  const seen = new Map<string, number>();
  return sources.flatMap(({ name }, index) => {
    if (name === undefined) return [];
    const first = seen.get(fullName(name));
    if (first !== undefined) return [{ path: ['sources', index, 'name'], message: `is mapped by sources.${first} already` }];
    seen.set(fullName(name), index);
    return [];
  });
}

/** Sources that name a transport that is in none of `known`. */
export function unknownTransports(sources: readonly Line[], known: readonly Readonly<Record<string, unknown>>[]): readonly MappingIssue[] {
  return sources.flatMap(({ transport }, index) =>
    transport === undefined || known.some((profiles) => Object.hasOwn(profiles, transport))
      ? []
      : [{ path: ['sources', index, 'transport'], message: `${JSON.stringify(transport.slice(0, 100))} is no key of transports` }],
  );
}

/** Entries of `images.urlHosts` that are not spelled as a URL spells them (so that no name could match), or whose host stands there twice. */
export function hostIssues(entries: readonly string[]): readonly MappingIssue[] {
  const seen = new Set<string>();
  return entries.flatMap((entry, index) => {
    const host = entry.replace(/^http:\/\//, '').replace(/:[0-9]*$/, '');
    const message = hostProblem(entry.includes('://') ? entry : `https://${entry}`, host, seen);
    seen.add(host);
    return message === undefined ? [] : [{ path: ['urlHosts', index], message }];
  });
}

function hostProblem(url: string, host: string, seen: ReadonlySet<string>): string | undefined {
  if (!URL.canParse(url) || new URL(url).hostname !== host) return 'is not a host as URLs spell it';
  return seen.has(host) ? 'names a host again: an image name has no port or protocol to tell the two apart' : undefined;
}
