import { Refusal } from '../failures.ts';
import { quoted } from '../quoted.ts';
import type { TarHeader } from './tar-header.ts';

const expected = "a containerDisk's layer holds one regular file directly under disk/ and nothing else";

/**
 * Whether a member is the disk or a directory that may stand around it: `./`, `disk/` and `disk/<name>`, each also with `./` before it. Throws
 * `Refusal` `tar-entry` for anything else. The name is compared, and forgotten: no path is made of it. Source: KubeVirt, containerDisk.
 */
export function judgeMember({ name, kind, says, sizeBytes }: TarHeader): 'disk' | 'directory' {
  const plain = name.replace(/^(\.\/)+/, '');
  if (kind === 'file' && isDiskName(plain)) return 'disk';
  if (kind === 'directory' && ['', '.', 'disk', 'disk/'].includes(plain)) {
    if (sizeBytes === 0) return 'directory';
    throw new Refusal('tar-entry', `the layer's directory ${quoted(name)} has content; ${expected}`);
  }
  throw new Refusal('tar-entry', `the layer holds ${says} ${quoted(name)}; ${expected}`);
}

/** The second file of a layer. */
export function twoDisks(first: string, second: string): Refusal {
  return new Refusal('two-disks', `the layer holds two files, ${quoted(first)} and ${quoted(second)}; ${expected}`);
}

/** `.wh.` marks what an overlay takes away (OCI image specification, "Whiteouts"). */
function isDiskName(name: string): boolean {
  const base = /^disk\/([^/\0]+)$/.exec(name)?.[1];
  return base !== undefined && base !== '.' && base !== '..' && !base.startsWith('.wh.');
}
