import { placedLinks, type AttachmentRecord, type PlacedLink } from '../attachment-record.ts';
import { restoreLinks } from './joint.ts';
import { cidrsOf, linkStateProgram, parseLinkStates, type LinkState } from './link-state.ts';
import type { Parts } from '../parts.ts';

/**
 * Puts the CNI's interfaces back as ADD left them, but those that are gone. Tried twice, since some plugins find what they have to remove
 * by the addresses of the interface alone; what DEL does not need may be missing, with a warning. Throws what `restoreLinks` does.
 */
export async function putBack(parts: Parts, record: AttachmentRecord, gone: readonly LinkState[], signal: AbortSignal): Promise<void> {
  const links = placedLinks(record).filter(({ link }) => !gone.includes(link));
  for (const isLast of [false, true]) {
    try {
      await restoreLinks(parts, record, links, signal);
      return;
    } catch (error) {
      parts.log.warn({ sandboxId: record.subject.sandboxId, err: error }, 'CNI interface not put back whole');
      if (await isFitForDel(parts, record, links, signal)) return;
      if (isLast) throw error;
    }
  }
}

/** True for interfaces that have the addresses that ADD gave them, and for physical ones that are gone: a DEL before this one took them. */
async function isFitForDel(
  { namespaces }: Parts,
  { netnsPath }: AttachmentRecord,
  links: readonly PlacedLink[],
  signal: AbortSignal,
): Promise<boolean> {
  const { exitCode, stdout } = await namespaces.tryRun(netnsPath, { argv: ['sh', '-c', linkStateProgram, 'sh'] }, signal);
  if (exitCode !== 0) return false;
  const textOf = (state: LinkState): string =>
    cidrsOf(state)
      .map(({ address, prefixLength }) => `${address}/${prefixLength}`)
      .toSorted()
      .join();
  const found = new Map(parseLinkStates(stdout).map((state) => [state.name, textOf(state)]));
  return links.every(({ link }) => (found.get(link.name) ?? textOf(link)) === textOf(link));
}
