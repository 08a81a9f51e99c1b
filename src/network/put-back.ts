import { nicsOf, type AttachmentRecord } from './attachment-record.ts';
import type { Nic } from './joint-scripts.ts';
import { restoreLinks } from './joint.ts';
import { cidrsOf, linkStateProgram, parseLinkStates, type LinkState } from './link-state.ts';
import type { Parts } from './parts.ts';

/**
 * Puts the CNI's interfaces back as ADD left them, but those that are gone. Tried twice, since some plugins find what they have to remove
 * by the addresses of the interface alone; what DEL does not need may be missing, with a warning. Throws what `restoreLinks` does.
 */
export async function putBack(parts: Parts, record: AttachmentRecord, gone: readonly LinkState[], signal: AbortSignal): Promise<void> {
  const nics = nicsOf(record, '').filter(({ link }) => !gone.includes(link));
  for (const isLast of [false, true]) {
    try {
      await restoreLinks(parts, record, signal, nics);
      return;
    } catch (error) {
      parts.log.warn({ sandboxId: record.subject.sandboxId, err: error }, 'CNI interface not put back whole');
      if (await isFitForDel(parts, record, nics, signal)) return;
      if (isLast) throw error;
    }
  }
}

/** True for interfaces that have the addresses that ADD gave them, and for physical ones that are gone: a DEL before this one took them. */
async function isFitForDel(
  { namespaces }: Parts,
  { netnsPath }: AttachmentRecord,
  nics: readonly Nic[],
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
  return nics.every(({ link }) => (found.get(link.name) ?? textOf(link)) === textOf(link));
}
