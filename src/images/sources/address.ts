import { fileURLToPath } from 'node:url';
import { invalid } from '../../model/errors.ts';
import { formatReference, type Reference } from '../reference.ts';

/** Where a line of a mapping leads: a URL, or a path on the node. */
export type Address = { readonly kind: 'http'; readonly url: URL } | { readonly kind: 'file'; readonly path: string };

/** An address whose groups are still open. */
export type AddressTemplate = (groups: readonly (string | undefined)[], reference: Reference) => Address;

/**
 * Reads the address of a source; without `hasGroups` dollar signs are plain text. What is filled in comes from a reference, which a pod's
 * author writes: it gets into path and query alone, and never as `.` or `..`, so that it chooses neither the host nor the directory. Throws
 * INVALID naming `key`.
 */
export function compileAddress(text: string, key: string, hasGroups: boolean): AddressTemplate {
  const { head, rest, isFile } = partsOf(text, key);
  if (!hasGroups) {
    const address = isFile ? fileAddress(text, key) : ({ kind: 'http', url: new URL(text) } as const);
    return () => address;
  }
  if (head.includes('$') || rest.startsWith('\\')) throw invalid(key, '$1 ... may stand in path and query only, never in the host');
  if (isFile && /^\/[^/]*\$/.test(rest)) throw invalid(key, '$1 ... may stand only below a directory');
  return (groups, reference) => {
    const filled = rest.replaceAll(/\$(\$|[1-9][0-9]?)/g, (_whole, what: string) => (what === '$' ? '$' : (groups[Number(what)] ?? '')));
    const [path = ''] = /^[^?#]*/.exec(filled) ?? [];
    if (path.split(/[/\\]/).some(isUpward)) {
      throw invalid('image', `${JSON.stringify(formatReference(reference))} would leave the directory of its source (${key})`);
    }
    return isFile ? fileAddress(`file://${filled}`, key) : { kind: 'http', url: new URL(`${head}${filled}`) };
  };
}

/** Protocol and host, which stay as they are, and what follows. */
function partsOf(text: string, key: string): { readonly head: string; readonly rest: string; readonly isFile: boolean } {
  const [, head = '', rest = ''] = /^((?:https?|file):\/\/[^/?#\\]*)(.*)$/s.exec(text) ?? [];
  const isFile = head === 'file://';
  const isGood = isFile ? !/[?#\\]/.test(rest) : head.startsWith('http') && URL.canParse(`${head}/`);
  if (!isGood) throw invalid(key, 'must be an https://, http:// or file:/// address');
  return { head, rest, isFile };
}

/** `.` or `..`, in every spelling that a URL parser takes for it. */
function isUpward(segment: string): boolean {
  return /^(\.|%2e){1,2}$/i.test(segment);
}

function fileAddress(text: string, key: string): Address {
  try {
    return { kind: 'file', path: fileURLToPath(text) };
  } catch {
    throw invalid(key, 'is not the address of a file: file:///directory/file, with %2F nowhere');
  }
}
