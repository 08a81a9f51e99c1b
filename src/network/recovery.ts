import { abandonOnAbort, withTimeout } from '../lib/signals.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import type { Parts } from './parts.ts';
import { joinTap, loadFilter, serve } from './links/joint.ts';
import type { Turn } from './turns.ts';

/** Sandboxes that are looked after at a time. */
const atOnce = 4;

/** What there is to recover, and how. */
export interface Recovery {
  /** Sandboxes that keep their network, with the tap of their running VM. */
  readonly live: ReadonlyMap<string, string | undefined>;
  /** How long releases are waited for, milliseconds: they go at the plugins' pace, and the kubelet has no runtime meanwhile. */
  readonly releasePatienceMs: number;
  readonly turn: Turn;
}

/**
 * See `Network.recover`. What fails is logged and does not stop the rest; a record that cannot be read is never acted upon. Releases
 * that are not done in time go on in the background; those that are not done when the daemon ends are found by its next start.
 */
export async function recover(parts: Parts, { live, releasePatienceMs, turn }: Recovery, signal: AbortSignal): Promise<void> {
  const { records, releases, log } = parts;
  for (const { file, problem } of records.unreadable) log.error({ file, problem }, 'network record unreadable, left alone');
  const all = [...records.all()];
  const over = all.filter(([sandboxId, record]) => isOver(record, live.has(sandboxId)));
  const kept = all.filter((entry) => !over.includes(entry));
  for (const [sandboxId, { netnsPath }] of over) log.info({ sandboxId, netnsPath }, 'releasing the network of a sandbox that is no more');
  const released = Promise.all(over.map(async ([sandboxId, { failedReleases = 0 }]) => releases.now(sandboxId, failedReleases)));
  const queue = kept.values();
  const worker = async (): Promise<void> => {
    for (const [sandboxId] of queue) {
      signal.throwIfAborted();
      try {
        await turn(sandboxId, async () => adopt(parts, sandboxId, live.get(sandboxId), signal), signal);
      } catch (error) {
        signal.throwIfAborted();
        log.warn({ sandboxId, err: error }, 'network not recovered');
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  using patience = withTimeout(signal, releasePatienceMs, 'the release of networks');
  await abandonOnAbort(released, patience).catch(() => {
    signal.throwIfAborted();
    log.warn({}, 'networks are still being released, in the background');
  });
}

/** True for what is to be released: of a sandbox that is no more, of an ADD that was cut short, or what could not be released before. */
function isOver({ added, failedReleases }: AttachmentRecord, isLive: boolean): boolean {
  return !isLive || !added || failedReleases !== undefined;
}

/** Sees to it that the guest of a running VM is served. */
export async function adopt(parts: Parts, sandboxId: string, tap: string | undefined, signal: AbortSignal): Promise<void> {
  const { records, namespaces, dhcp, log } = parts;
  const record = records.get(sandboxId);
  if (!record?.added || tap === undefined || !(await namespaces.isAlive(record.netnsPath))) return;
  if (record.joint?.state !== 'made') return joinTap(parts, sandboxId, tap, signal);
  const helper = await dhcp.find(sandboxId, record.dhcp);
  if (!helper) {
    log.warn({ sandboxId }, 'DHCP server was gone, starting another');
    await serve(parts, { ...record, added: record.added }, tap, signal);
  } else if (helper.pid !== record.dhcp?.pid) await records.put(sandboxId, { ...record, joint: { state: 'made', tap }, dhcp: helper });
}

/**
 * Loads the filters of running VMs anew: the daemon before this one may have had other rules, or another configuration. In the background
 * and one after the other: each costs a process, and hundreds of VMs would keep the kubelet waiting. What cannot be loaded leaves the rules
 * that are there.
 */
export async function reloadFilters(parts: Parts, { live, turn }: Pick<Recovery, 'live' | 'turn'>, signal: AbortSignal): Promise<void> {
  for (const [sandboxId, tap] of live) {
    if (tap === undefined) continue;
    await turn(sandboxId, async () => reloadFilter(parts, sandboxId, tap, signal), signal).catch((error: unknown) => {
      if (!signal.aborted) parts.log.error({ sandboxId, err: error }, 'filter of a running VM not loaded anew');
    });
    if (signal.aborted) return;
  }
}

/** The same for one VM. */
export async function reloadFilter(parts: Parts, sandboxId: string, tap: string, signal: AbortSignal): Promise<void> {
  const record = parts.records.get(sandboxId);
  if (!record?.added || record.joint?.state !== 'made' || record.joint.tap !== tap) return; // another VM has had its own loaded
  if (await parts.namespaces.isAlive(record.netnsPath)) await loadFilter(parts, { ...record, added: record.added }, tap, signal);
}
