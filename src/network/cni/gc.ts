import { messageOf } from '../../lib/errno.ts';
import type { NetworkConfig } from './config.ts';
import { podInterface, type CniAttachment } from './input.ts';
import { hasGc } from './cni.ts';
import type { Parts } from '../parts.ts';

/**
 * Tells the plugins of the node's network which attachments there are, so that they remove what belongs to no other (CNI specification
 * 1.1.0, section 2). Answers false when there is no network that has GC, true whatever became of it. Throws nothing.
 *
 * A list that is too short would take the addresses of running pods away. So it has every attachment on record, whatever becomes of it,
 * and those that another runtime on the node has cached for a network of the same name; and where one of them cannot be read, GC is left out.
 */
export async function collectGarbage(parts: Parts, signal: AbortSignal): Promise<boolean> {
  const { records, cni, cache, directory, log } = parts;
  const network = await directory.current(signal).catch(() => undefined); // without one the condition says what is wrong
  if (!network || !hasGc(network)) return false;
  if (records.unreadable.length > 0) {
    log.warn({ network: network.name, unreadable: records.unreadable.length }, 'CNI GC left out: not every attachment is known');
    return true;
  }
  try {
    const ours = attachmentsOf(network, records.all());
    const cached = await cache.attachments(network);
    const known = new Set(ours.map(({ containerID }) => containerID));
    const valid = [...ours, ...cached.filter(({ containerID }) => !known.has(containerID))];
    const failures = await cni.gc(network, valid, signal);
    for (const error of failures) log.warn({ network: network.name, err: error }, 'CNI GC failed');
    log.info({ network: network.name, valid: valid.length, failures: failures.length }, 'CNI GC done');
  } catch (error) {
    log.warn({ network: network.name, error: messageOf(error) }, 'CNI GC left out: not every attachment is known');
  }
  return true;
}

/** The attachments of a network that are on record. */
function attachmentsOf(
  { name }: NetworkConfig,
  records: ReadonlyMap<string, { readonly network: NetworkConfig }>,
): readonly CniAttachment[] {
  const ids = [...records].filter(([, record]) => record.network.name === name).map(([sandboxId]) => sandboxId);
  return ids.map((containerID) => ({ containerID, ifname: podInterface }));
}
