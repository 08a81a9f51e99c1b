import { invalid } from '../../model/errors.ts';
import type { DiskFormat } from '../../model/image.ts';
import { formatReference, spellingsOf, type Reference } from '../reference.ts';

/** A line of `images.sources`: exactly one of `name` and `match`. */
export interface ImageSource {
  /** Exact image name; without tag it means `:latest`. */
  readonly name?: string | undefined;
  /** Regular expression over the whole name (anchored here). */
  readonly match?: string | undefined;
  /** `http://` or `https://` address; `$1` to `$99` stand for groups of `match`, in path and query only, `$$` for a dollar sign. */
  readonly url: string;
  /** Digest that the bytes must have, 64 hex digits. */
  readonly sha256?: string | undefined;
  readonly format: DiskFormat;
}

/** Where an image comes from and what is known of it in advance. */
export interface Origin {
  readonly url: URL;
  readonly format: DiskFormat;
  /** `sha256:<64 hex>` that the bytes must have: from the reference or the configuration. */
  readonly digest: string | undefined;
}

/** Answers where a reference's bytes come from. Throws INVALID when no source maps it or when it contradicts the source's digest. */
export type SourceMap = (reference: Reference) => Origin;

/**
 * Compiles the sources: exact names first, then expressions in their order. The host can never come from a reference, so that a pod's author does
 * not choose whom the node talks to. Throws INVALID naming the key.
 */
export function compileSources(sources: readonly ImageSource[]): SourceMap {
  for (const [index, source] of sources.entries()) checkTemplate(source, `images.sources[${index}]`);
  const exact = new Map(sources.filter((each) => each.name !== undefined).map((each) => [each.name, each]));
  const expressions = sources
    .filter((each) => each.match !== undefined)
    .map((source) => ({ source, expression: new RegExp(`^(?:${source.match})$`) }));

  return (reference) => {
    const spellings = spellingsOf(reference);
    for (const spelling of spellings) {
      const source = exact.get(spelling);
      if (source) return originOf(reference, source, new URL(source.url));
    }
    for (const { source, expression } of expressions) {
      for (const spelling of spellings) {
        const groups = expression.exec(spelling);
        if (groups) return originOf(reference, source, expand(source.url, groups, reference));
      }
    }
    throw invalid(
      'image',
      `${JSON.stringify(formatReference(reference))} is mapped to no address: add a line to images.sources in the node's configuration`,
    );
  };
}

function originOf(reference: Reference, source: ImageSource, url: URL): Origin {
  const configured = source.sha256 === undefined ? undefined : `sha256:${source.sha256}`;
  if (configured !== undefined && reference.digest !== undefined && configured !== reference.digest) {
    throw invalid('image', `asks for ${reference.digest}, but images.sources says that ${reference.name} is ${configured}`);
  }
  return { url, format: source.format, digest: reference.digest ?? configured };
}

function expand(template: string, groups: RegExpExecArray, reference: Reference): URL {
  const text = template.replaceAll(/\$(\$|[1-9][0-9]?)/g, (_whole, what: string) => (what === '$' ? '$' : (groups[Number(what)] ?? '')));
  const path = /^https?:\/\/[^/?#]*([^?#]*)/.exec(text)?.[1] ?? '';
  if (path.split(/[/\\]/).some((segment) => segment === '.' || segment === '..')) {
    throw invalid('image', `${JSON.stringify(formatReference(reference))} would leave the directory of its source in images.sources`);
  }
  return new URL(text);
}

function checkTemplate(source: ImageSource, key: string): void {
  const authority = /^https?:\/\/([^/?#]*)/.exec(source.url)?.[1];
  if (authority === undefined || !URL.canParse(source.url)) throw invalid(`${key}.url`, 'must be an http:// or https:// address');
  if (authority.includes('$') && source.match !== undefined)
    throw invalid(`${key}.url`, '$1 ... may stand in path and query only, never in the host');
  if (source.match === undefined) return;
  try {
    new RegExp(source.match); // by itself: `a)|(?:b` is one only inside the brackets that anchor it
  } catch (error) {
    throw invalid(`${key}.match`, `is not a regular expression: ${error instanceof Error ? error.message : ''}`);
  }
}
