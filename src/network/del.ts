import { messageOf } from '../lib/errno.ts';
import { linksOf, type AttachmentRecord } from './attachment-record.ts';
import { standInArguments, standInProgram } from './links/joint-scripts.ts';
import { linkStateProgram, parseLinkStates, type LinkState } from './links/link-state.ts';
import type { Parts } from './parts.ts';
import { isReported } from './cni/failure.ts';
import type { AddProgress } from './cni/cni.ts';

/**
 * Writes down that plugins are about to remove interfaces, and which, of an ADD that did not come to its end: a DEL that is cut short is
 * then made good by the next. Answers the record. On a full disk DEL has to do without.
 */
export async function beginDel(parts: Parts, record: AttachmentRecord, signal: AbortSignal): Promise<AttachmentRecord> {
  if (record.deleting) return record;
  const { sandboxId } = record.subject;
  const missed = (error: unknown): void =>
    parts.log.warn({ sandboxId, error: messageOf(error) }, 'the begin of a CNI DEL is not on record whole');
  const left = record.added ? undefined : await readLinks(parts, record, signal).catch(missed);
  const begun: AttachmentRecord = { ...record, deleting: true, ...(left ? { left } : {}) };
  await parts.records.put(sandboxId, begun).catch(missed);
  return begun;
}

/** True for a namespace that another DEL finds something by, an address or a device of the node; an ADD that failed may have left none. */
export function isNeededForDel({ left }: AttachmentRecord): boolean {
  return left === undefined || left.some(({ addresses, kind }) => addresses.length > 0 || kind === '');
}

/** The interfaces that a DEL before this one has removed. Those of a physical device have gone to where they came from: that is well. */
export async function goneLinks(parts: Parts, record: AttachmentRecord, signal: AbortSignal): Promise<readonly LinkState[]> {
  if (!record.deleting) return [];
  const kinds = new Map((await readLinks(parts, record, signal)).map(({ name, kind }) => [name, kind]));
  // One that stands in is of another kind.
  return linksOf(record).filter(({ name, kind }) => kind !== '' && kinds.get(name) !== kind);
}

/** A DEL: how it is called, the interfaces that are gone, and whether it may fail for these. */
export interface Del {
  readonly record: AttachmentRecord;
  /** Empty when the namespace is gone. */
  readonly netnsPath: string;
  readonly progress: Partial<AddProgress>;
  readonly gone: readonly LinkState[];
  readonly mayWait: boolean;
}

/**
 * CNI DEL; answers the failures. Plugins find rules by the addresses of the interface, which they remove first: of a DEL that is cut
 * short in between, the next sees no interface, and what the rules are for. Debian's bridge and ptp (1.1.1) are such. So each address that
 * an interface had is put on one that stands in for it, and DEL is called for each: not for all in one, since the same plugins end with the
 * first address whose rules are gone. For that reason, too, what they report then is no failure: the DEL without an interface decides.
 */
export async function del(parts: Parts, request: Del, signal: AbortSignal): Promise<readonly unknown[]> {
  const { record, netnsPath, progress, gone, mayWait } = request;
  const { cni, log } = parts;
  const { network, subject } = record;
  const call = async (): Promise<readonly unknown[]> => cni.del({ network, subject, netnsPath, ...progress }, signal);
  const rounds = Math.max(0, ...gone.map(({ addresses }) => addresses.length));
  const failures: unknown[] = [];
  for (let nth = 0; nth < rounds; nth += 1) {
    try {
      await standIn(parts, record, { gone, nth }, signal);
      failures.push(...(await call()));
    } catch (error) {
      failures.push(error);
    }
  }
  if (rounds > 0 && failures.length === 0) return [];
  const cutShort = failures.filter((error) => !isReported(error));
  if (cutShort.length > 0 && mayWait) return cutShort;
  if (rounds > 0) {
    log.warn({ sandboxId: subject.sandboxId, errors: failures.map(messageOf) }, 'CNI DEL, called again, met what the one before had left');
    await standIn(parts, record, { gone, nth: rounds }, signal);
  }
  return call();
}

async function standIn(
  { namespaces }: Parts,
  { netnsPath }: AttachmentRecord,
  { gone, nth }: { readonly gone: readonly LinkState[]; readonly nth: number },
  signal: AbortSignal,
): Promise<void> {
  for (const link of gone) {
    await namespaces.run(netnsPath, { argv: ['sh', '-c', standInProgram, 'stand-in', ...standInArguments(link, nth)] }, signal);
  }
}

async function readLinks({ namespaces }: Parts, { netnsPath }: AttachmentRecord, signal: AbortSignal): Promise<readonly LinkState[]> {
  const { stdout } = await namespaces.run(netnsPath, { argv: ['sh', '-c', linkStateProgram, 'sh'] }, signal);
  return parseLinkStates(stdout);
}
