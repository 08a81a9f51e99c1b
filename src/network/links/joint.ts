import { readFile } from 'node:fs/promises';
import { messageOf } from '../../lib/errno.ts';
import { runProgram, tryProgram, type ProgramResult } from '../../lib/run-program.ts';
import { nthTap } from '../../model/container.ts';
import { VmletError } from '../../model/errors.ts';
import type { GuestInterface } from '../../model/network.ts';
import { functionsOf, nicsOf, type AttachmentRecord } from '../attachment-record.ts';
import { frameFilter } from '../filter/frame-filter.ts';
import {
  forwardingScript,
  joinProgram,
  joinScript,
  randomMac,
  rejoinScript,
  restoreArguments,
  restoreProgram,
  restoreScript,
  tapScript,
  type Nic,
} from './joint-scripts.ts';
import type { Parts } from '../parts.ts';
import { returnFunctions } from '../sriov/return.ts';

type Added = AttachmentRecord & Required<Pick<AttachmentRecord, 'added'>>;

/** The taps of a VM. */
export interface TapRequest {
  /** Name of the first interface's tap; see `nthTap`. */
  readonly tap: string;
  /** The VM's interfaces in order: those that are devices have no tap. */
  readonly interfaces: readonly Pick<GuestInterface, 'virtualFunction'>[];
  readonly uid: number;
  /** Queues of each interface. */
  readonly queues: number;
}

/** Makes taps in the host's namespace; those of the same names are replaced. */
export async function makeTap({ tap, interfaces, uid, queues }: TapRequest, signal: AbortSignal): Promise<void> {
  checkLinkName(tap);
  for (const number of [uid, queues]) if (!Number.isSafeInteger(number) || number < 0) throw new TypeError(`not a number: ${number}`);
  const names = interfaces.flatMap(({ virtualFunction }, index) => (virtualFunction ? [] : [nthTap(tap, index)]));
  const leftovers = await tapsInHost(tap);
  await runProgram('ip', ['-batch', '-'], { input: tapScript({ names, uid, queues, leftovers }), signal });
}

/** See `Network.joinTap`. On error the CNI's interface is put back. */
export async function joinTap(parts: Parts, sandboxId: string, tap: string, signal: AbortSignal): Promise<void> {
  checkLinkName(tap);
  const found = parts.records.get(sandboxId);
  if (!found?.added) throw new VmletError({ code: 'NOT_FOUND', kind: 'sandbox', id: sandboxId }, `sandbox ${sandboxId} has no network`);
  const record: Added = { ...found, added: found.added };
  await parts.dhcp.stop(sandboxId, record.dhcp); // of a VM before this one
  if (record.joint?.state === 'made') {
    await parts.records.put(sandboxId, { ...record, joint: { state: 'made', tap } });
    await join(parts, record, { tap, scriptOf: rejoinScript }, signal);
    await serve(parts, record, tap, signal);
    return;
  }
  if (record.joint) await restoreLinks(parts, record, nicsOf(record, tap), signal);
  await parts.records.put(sandboxId, { ...record, joint: { state: 'making', tap } });
  try {
    await join(parts, record, { tap, scriptOf: (nic) => joinScript(nic, { bridge: randomMac(), port: randomMac() }) }, signal);
    await serve(parts, record, tap, signal);
  } catch (error) {
    await undo(parts, record);
    throw error;
  }
}

/** See `Network.removeTap`. */
export async function removeTap(parts: Parts, sandboxId: string, tap: string, signal: AbortSignal): Promise<void> {
  const record = parts.records.get(sandboxId);
  const isOutdated = record?.joint !== undefined && record.joint.tap !== tap;
  if (!isOutdated) await parts.dhcp.stop(sandboxId, record?.dhcp);
  await removeTaps(parts, record, tap, signal);
  if (record && !isOutdated) await takeBack(parts, record, signal);
}

/** A function that stays out must not keep the container from going: `detach` gives it back, sees to its driver, and counts the failures. */
async function takeBack(parts: Parts, record: AttachmentRecord, signal: AbortSignal): Promise<void> {
  if (record.deleting || functionsOf(record).length === 0 || !(await parts.namespaces.isAlive(record.netnsPath))) return;
  await returnFunctions(parts, record, { mayRebind: false }, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    parts.log.warn({ sandboxId: record.subject.sandboxId, err: error }, 'virtual function not given back; it is tried again');
  });
}

/** Removes a VM's taps from the host's namespace or from the pod's, as far as that is there; those that are gone are fine. */
export async function removeTaps(parts: Parts, record: AttachmentRecord | undefined, tap: string, signal: AbortSignal): Promise<void> {
  checkLinkName(tap);
  const { namespaces } = parts;
  const inHost = await tapsInHost(tap);
  for (const name of inHost) requireGone(name, await tryProgram('ip', ['link', 'del', 'dev', name], { signal }));
  if (record === undefined || !(await namespaces.isAlive(record.netnsPath))) return;
  const names = [tap, ...nicsOf(record, tap).map((nic) => nic.tap)].filter((name) => !inHost.includes(name));
  for (const name of new Set(names)) {
    requireGone(name, await namespaces.tryRun(record.netnsPath, { argv: ['ip', 'link', 'del', 'dev', name] }, signal));
  }
}

/** A link that somebody else has just removed is fine: not all who remove taps hold the sandbox's lock. */
function requireGone(name: string, { exitCode, stderr }: ProgramResult): void {
  if (exitCode !== 0 && !stderr.includes('Cannot find device')) throw new Error(`ip link del ${name}: ${stderr.trim()}`);
}

/** Puts interfaces back as ADD left them; also after a join that was cut short. One that cannot be does not stop the others. */
export async function restoreLinks(
  { namespaces }: Parts,
  record: AttachmentRecord,
  links: readonly Pick<Nic, 'index' | 'link'>[],
  signal: AbortSignal,
): Promise<void> {
  const failures: unknown[] = [];
  for (const { index, link } of links) {
    const argv = ['sh', '-c', restoreProgram, 'restore', ...restoreArguments(link, index)] as const;
    await namespaces.run(record.netnsPath, { argv, input: restoreScript(link) }, signal).catch((error: unknown) => failures.push(error));
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 0) throw new AggregateError(failures, failures.map(messageOf).join('; '));
}

/** Starts DHCP for a tap that is on the bridge, and records both. */
export async function serve(parts: Parts, record: Added, tap: string, signal: AbortSignal): Promise<void> {
  const { records, dhcp } = parts;
  const { sandboxId } = record.subject;
  const made: AttachmentRecord = { ...record, joint: { state: 'made', tap } };
  const { netnsPath, hostname } = record;
  const { interfaces, dns } = record.added.attachment;
  const request = { sandboxId, netnsPath, hostname, interfaces, dns };
  await dhcp.start(request, async (helper) => records.put(sandboxId, { ...made, dhcp: helper }), signal);
}

/** What bridges the taps of a VM. */
interface Plan {
  readonly tap: string;
  readonly scriptOf: (nic: Nic) => string;
}

/** Loads the filter of a VM's frames, in place of one that is there, in one transaction. The taps must be in the pod's netns. */
export async function loadFilter({ namespaces, antiSpoofing }: Parts, record: Added, tap: string, signal: AbortSignal): Promise<void> {
  const { netnsPath, added } = record;
  const nics = nicsOf(record, tap).map(({ index, link, tap: name }) => ({ port: link.name, tap: name, guest: guestAt(added, index) }));
  if (nics.length === 0) return; // all are devices
  await namespaces.run(netnsPath, { argv: ['nft', '-f', '-'], input: frameFilter(nics, antiSpoofing) }, signal);
}

/** The filter is there before a tap is on a bridge; the guest's frames are let through when all is in place. */
async function join(parts: Parts, record: Added, { tap, scriptOf }: Plan, signal: AbortSignal): Promise<void> {
  const { namespaces } = parts;
  const { netnsPath } = record;
  const nics = nicsOf(record, tap);
  if (nics.length === 0) return; // all are devices
  const moved = await Promise.allSettled(nics.map(async (nic) => move(namespaces, nic.tap, netnsPath, signal)));
  for (const outcome of moved) if (outcome.status === 'rejected') throw outcome.reason;
  await loadFilter(parts, record, tap, signal);
  const names = nics.flatMap((nic) => [nic.link.name, nic.tap]);
  const input = nics.map((nic) => scriptOf(nic)).join('');
  await namespaces.run(netnsPath, { argv: ['sh', '-c', joinProgram, 'join', ...names], input }, signal);
  const forwarding = forwardingScript(nics);
  if (forwarding !== '') await namespaces.run(netnsPath, { argv: ['bridge', '-batch', '-'], input: forwarding }, signal);
}

function guestAt({ attachment }: Added['added'], index: number): GuestInterface {
  const guest = attachment.interfaces[index];
  if (!guest) throw new Error(`the network's record has no interface ${index}`);
  return guest;
}

async function undo(parts: Parts, record: Added): Promise<void> {
  const fresh = AbortSignal.timeout(30_000);
  const { sandboxId } = record.subject;
  try {
    await restoreLinks(parts, record, nicsOf(record, ''), fresh);
    const { joint: _joint, dhcp: _dhcp, ...before } = record;
    await parts.records.put(sandboxId, before);
  } catch (error) {
    parts.log.warn({ sandboxId, err: error }, 'CNI interface not put back after a failed join; the next join or detach does it');
  }
}

/** Moves a tap into the pod's netns; one that a join before moved is there already. What has its name there without being it goes. */
async function move(namespaces: Parts['namespaces'], tap: string, netnsPath: string, signal: AbortSignal): Promise<void> {
  if (!(await tapsInHost(tap)).includes(tap)) return;
  const args = ['link', 'set', 'dev', tap, 'netns', netnsPath];
  if ((await tryProgram('ip', args, { signal })).exitCode === 0) return;
  await namespaces.tryRun(netnsPath, { argv: ['ip', 'link', 'del', 'dev', tap] }, signal);
  await runProgram('ip', args, { signal });
}

/** A VM's taps that are in the host's namespace. /proc tells at once, from the host's namespace even where /sys is another's. */
async function tapsInHost(tap: string): Promise<readonly string[]> {
  const devices = await readFile('/proc/self/net/dev', 'utf8');
  const names = devices.split('\n').map((line) => line.trimStart().split(':')[0] ?? '');
  return names.filter((name) => name === tap || (name.length === tap.length + 1 && name.startsWith(tap)));
}

function checkLinkName(name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,14}$/.test(name)) throw new TypeError(`not a link's name: ${name}`);
}
