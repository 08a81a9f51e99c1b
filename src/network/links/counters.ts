import { readFile } from 'node:fs/promises';
import { isErrno } from '../../lib/errno.ts';
import { isAlive } from '../../lib/helper-process.ts';
import type { NicCounters } from '../../model/statistics.ts';
import { nicsOf, type AttachmentRecord } from '../attachment-record.ts';

/** Columns of a line of /proc/net/dev after the interface's name (proc_net(5)): eight of what was received, then of what was sent. */
const column = { rxBytes: 0, rxPackets: 1, rxErrors: 2, rxDropped: 3, txBytes: 8, txPackets: 9, txErrors: 10, txDropped: 11 } as const;

/**
 * The counters of a tap in the text of /proc/net/dev, under the name that the guest's interface has: what the tap sends is what the guest
 * receives. `undefined` when the tap is not there.
 */
export function guestCounters(text: string, tap: string, name: string): NicCounters | undefined {
  const line = text
    .split('\n')
    .map((each) => each.trim())
    .find((each) => each.startsWith(`${tap}:`));
  if (line === undefined) return undefined;
  const counts = line
    .slice(tap.length + 1)
    .trim()
    .split(/ +/)
    .map(Number);
  const of = (key: keyof typeof column): number => counts[column[key]] ?? 0;
  return {
    name,
    rxBytes: of('txBytes'),
    rxPackets: of('txPackets'),
    rxErrors: of('txErrors'),
    rxDropped: of('txDropped'),
    txBytes: of('rxBytes'),
    txPackets: of('rxPackets'),
    txErrors: of('rxErrors'),
    txDropped: of('rxDropped'),
  };
}

/** See `Network.counters`: read from the DHCP server's view of its network namespace, so that none is entered. */
export async function readCounters(record: AttachmentRecord | undefined): Promise<readonly NicCounters[] | undefined> {
  if (!record?.dhcp || record.joint?.state !== 'made' || !isAlive(record.dhcp)) return undefined;
  try {
    const text = await readFile(`/proc/${record.dhcp.pid}/net/dev`, 'utf8');
    const found = nicsOf(record, record.joint.tap).flatMap(({ link, tap }) => guestCounters(text, tap, link.name) ?? []);
    return found.length === 0 ? undefined : found;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EINVAL')) return undefined; // it has ended meanwhile
    throw error;
  }
}
