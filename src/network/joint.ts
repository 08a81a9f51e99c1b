import { readFile } from 'node:fs/promises';
import { runProgram, tryProgram } from '../lib/run-program.ts';
import { VmletError } from '../model/errors.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import { needsDhcp } from './dhcp-arguments.ts';
import { dhcpFilter } from './dhcp-filter.ts';
import {
  joinProgram,
  joinScript,
  randomMac,
  rejoinScript,
  restoreArguments,
  restoreProgram,
  restoreScript,
  tapScript,
} from './joint-scripts.ts';
import type { Parts } from './parts.ts';

type Added = AttachmentRecord & Required<Pick<AttachmentRecord, 'added'>>;

/** Makes a tap in the host's namespace; one of the same name is replaced. */
export async function makeTap(tap: string, uid: number, signal: AbortSignal): Promise<void> {
  checkLinkName(tap);
  if (!Number.isSafeInteger(uid) || uid < 0) throw new TypeError(`not a uid: ${uid}`);
  await runProgram('ip', ['-batch', '-'], { input: tapScript(tap, uid, await isInHost(tap)), signal });
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
    await move(parts, tap, record.netnsPath, signal);
    await bridge(parts, record, { tap, script: rejoinScript(record.added.link, tap) }, signal);
    await serve(parts, record, tap, signal);
    return;
  }
  if (record.joint) await restoreLink(parts, record, signal);
  await parts.records.put(sandboxId, { ...record, joint: { state: 'making', tap } });
  try {
    await join(parts, record, tap, signal);
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
  const isAlive = record !== undefined && (await parts.namespaces.isAlive(record.netnsPath));
  await removeLink(parts, isAlive ? record.netnsPath : undefined, tap, signal);
}

/** Removes a link from the host's namespace or from the pod's; one that is gone is fine. */
export async function removeLink({ namespaces }: Parts, netnsPath: string | undefined, name: string, signal: AbortSignal): Promise<void> {
  checkLinkName(name);
  if (await isInHost(name)) await runProgram('ip', ['link', 'del', 'dev', name], { signal });
  else if (netnsPath !== undefined) {
    const outcome = await namespaces.tryRun(netnsPath, { argv: ['ip', 'link', 'del', 'dev', name] }, signal);
    if (outcome.exitCode !== 0 && !outcome.stderr.includes('Cannot find device'))
      throw new Error(`ip link del ${name}: ${outcome.stderr.trim()}`);
  }
}

/** Puts the CNI's interface back as ADD left it; also after a join that was cut short. */
export async function restoreLink(parts: Parts, record: AttachmentRecord, signal: AbortSignal): Promise<void> {
  if (!record.added) return;
  const { link } = record.added;
  const argv = ['sh', '-c', restoreProgram, 'restore', ...restoreArguments(link)] as const;
  await parts.namespaces.run(record.netnsPath, { argv, input: restoreScript(link) }, signal);
}

/** Starts DHCP for a tap that is on the bridge, and records both. */
export async function serve(parts: Parts, record: Added, tap: string, signal: AbortSignal): Promise<void> {
  const { records, dhcp } = parts;
  const { sandboxId } = record.subject;
  const [guest] = record.added.attachment.interfaces;
  const made: AttachmentRecord = { ...record, joint: { state: 'made', tap } };
  if (!guest || !needsDhcp(record.added.attachment)) return records.put(sandboxId, made);
  const { netnsPath, hostname } = record;
  const request = { sandboxId, netnsPath, hostname, guest, dns: record.added.attachment.dns };
  await dhcp.start(request, async (helper) => records.put(sandboxId, { ...made, dhcp: helper }), signal);
}

async function join(parts: Parts, record: Added, tap: string, signal: AbortSignal): Promise<void> {
  const { link } = record.added;
  const filter = { argv: ['nft', '-f', '-'] as const, input: dhcpFilter(link.name) };
  const prepared = await Promise.allSettled([
    move(parts, tap, record.netnsPath, signal),
    parts.namespaces.run(record.netnsPath, filter, signal),
  ]);
  for (const outcome of prepared) if (outcome.status === 'rejected') throw outcome.reason;
  await bridge(parts, record, { tap, script: joinScript(link, tap, { bridge: randomMac(), port: randomMac() }) }, signal);
}

async function undo(parts: Parts, record: Added): Promise<void> {
  const fresh = AbortSignal.timeout(30_000);
  const { sandboxId } = record.subject;
  try {
    await restoreLink(parts, record, fresh);
    const { joint: _joint, dhcp: _dhcp, ...before } = record;
    await parts.records.put(sandboxId, before);
  } catch (error) {
    parts.log.warn({ sandboxId, err: error }, 'CNI interface not put back after a failed join; the next join or detach does it');
  }
}

/** Moves a tap into the pod's netns; one that a join before moved is there already. What has its name there without being it goes. */
async function move({ namespaces }: Parts, tap: string, netnsPath: string, signal: AbortSignal): Promise<void> {
  if (!(await isInHost(tap))) return;
  const args = ['link', 'set', 'dev', tap, 'netns', netnsPath];
  if ((await tryProgram('ip', args, { signal })).exitCode === 0) return;
  await namespaces.tryRun(netnsPath, { argv: ['ip', 'link', 'del', 'dev', tap] }, signal);
  await runProgram('ip', args, { signal });
}

interface Change {
  readonly tap: string;
  readonly script: string;
}

async function bridge({ namespaces }: Parts, { netnsPath, added }: Added, { tap, script }: Change, signal: AbortSignal): Promise<void> {
  await namespaces.run(netnsPath, { argv: ['sh', '-c', joinProgram, 'join', added.link.name, tap], input: script }, signal);
}

/** /proc tells at once, from the host's namespace even where /sys is another's. */
async function isInHost(name: string): Promise<boolean> {
  const devices = await readFile('/proc/self/net/dev', 'utf8');
  return devices.split('\n').some((line) => line.trimStart().startsWith(`${name}:`));
}

function checkLinkName(name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,14}$/.test(name)) throw new TypeError(`not a link's name: ${name}`);
}
