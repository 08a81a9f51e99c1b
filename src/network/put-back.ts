import type { AttachmentRecord } from './attachment-record.ts';
import { restoreLink } from './joint.ts';
import { cidrsOf, linkStateProgram, parseLinkState, type LinkState } from './link-state.ts';
import type { Parts } from './parts.ts';

/**
 * Puts the CNI's interface back as ADD left it. Tried twice, since some plugins find what they have to remove by the addresses of the
 * interface alone; what DEL does not need may be missing, with a warning. Throws what `restoreLink` does.
 */
export async function putBack(parts: Parts, record: AttachmentRecord, signal: AbortSignal): Promise<void> {
  for (const isLast of [false, true]) {
    try {
      await restoreLink(parts, record, signal);
      return;
    } catch (error) {
      parts.log.warn({ sandboxId: record.subject.sandboxId, err: error }, 'CNI interface not put back whole');
      if (await isFitForDel(parts, record, signal)) return;
      if (isLast) throw error;
    }
  }
}

/** True for an interface that has the addresses that ADD gave it, and for one that is gone: a DEL before this one took it. */
async function isFitForDel({ namespaces }: Parts, { netnsPath, added }: AttachmentRecord, signal: AbortSignal): Promise<boolean> {
  if (!added) return true;
  const command = { argv: ['sh', '-c', linkStateProgram, 'sh', added.link.name] as const };
  const { exitCode, stdout } = await namespaces.tryRun(netnsPath, command, signal);
  if (exitCode !== 0) return exitCode === 1;
  const textOf = (state: LinkState): string =>
    cidrsOf(state)
      .map(({ address, prefixLength }) => `${address}/${prefixLength}`)
      .toSorted()
      .join();
  return textOf(parseLinkState(stdout)) === textOf(added.link);
}
