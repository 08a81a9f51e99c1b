import { z } from 'zod';
import { PullProblem } from '../failures.ts';
import { parseBoundedJson } from '../bounded-json.ts';
import type { IndexEntry } from './manifest.ts';
import { manifestKindOf } from './media-types.ts';
import { quoted } from '../quoted.ts';

/** Go's word for the architecture of a guest, as platforms are written. */
export type Architecture = 'amd64' | 'arm64';

/** From Node's word (`process.arch`). Throws for one that vmlet does not run on. */
export function architectureOf(nodeArch: string): Architecture {
  if (nodeArch === 'x64') return 'amd64';
  if (nodeArch === 'arm64') return 'arm64';
  throw new Error(`vmlet runs on x64 and arm64, not on ${nodeArch}`);
}

const baseline: Readonly<Record<Architecture, string>> = { amd64: 'v1', arm64: 'v8' };

/**
 * The manifest of an index for linux on this architecture: one without variant or with the lowest one if there is one, else the first. An index
 * whose entries name no platforms must have a single one. Throws `PullProblem` (manifest) that lists the platforms there are.
 */
export function chooseEntry(entries: readonly IndexEntry[], architecture: Architecture, what: string): IndexEntry {
  const readable = entries.filter(({ mediaType }) => manifestKindOf(mediaType) !== undefined);
  const fitting = readable.filter(({ platform }) => platform?.os === 'linux' && platform.architecture === architecture);
  const isBaseline = ({ platform }: IndexEntry): boolean => ['', baseline[architecture]].includes(platform?.variant ?? '');
  const chosen = fitting.find(isBaseline) ?? fitting[0];
  if (chosen) return chosen;
  const [single, another] = readable;
  if (single && !another && !single.platform) return single;
  throw new PullProblem('manifest', `${what} has nothing for linux/${architecture}, only ${platformsOf(readable)}`);
}

/** Throws `PullProblem` (manifest) when an image's configuration says that it is for another platform; silence is fine. */
export function checkConfigPlatform(config: Buffer, architecture: Architecture, what: string): void {
  const { os, arch } = statedPlatform(config);
  const isOther = (os !== '' && os !== 'linux') || (arch !== '' && arch !== architecture);
  if (isOther) throw new PullProblem('manifest', `${what} is for ${quoted(`${os || 'linux'}/${arch}`)}, not for linux/${architecture}`);
}

const stated = z.object({ os: z.string().catch(''), architecture: z.string().catch('') });

function statedPlatform(config: Buffer): { readonly os: string; readonly arch: string } {
  const { os = '', architecture: arch = '' } = stated.safeParse(parseBoundedJson(config)).data ?? {};
  return { os, arch };
}

const mostListed = 10;

function platformsOf(entries: readonly IndexEntry[]): string {
  const names = entries.map(({ platform }) => {
    if (!platform) return 'one without a platform';
    return quoted([platform.os, platform.architecture, platform.variant].filter(Boolean).join('/')).slice(1, -1);
  });
  const distinct = [...new Set(names)];
  const more = distinct.length > mostListed ? ` and ${distinct.length - mostListed} more` : '';
  return distinct.length === 0 ? 'nothing that is an image' : `${distinct.slice(0, mostListed).join(', ')}${more}`;
}
