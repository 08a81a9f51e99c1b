import type { Parts } from './parts.ts';
import { serve } from './joint.ts';
import { tearDown } from './teardown.ts';

/** After a reboot every recorded sandbox is detached: plugins start at most so many at a time. */
const atOnce = 4;

/** Runs the work of one sandbox under its lock. */
export type UnderLock = (sandboxId: string, work: () => Promise<void>) => Promise<void>;

/** See `Network.recover`. What fails is logged and does not stop the rest; a record that cannot be read is never acted upon. */
export async function recover(
  parts: Parts,
  live: ReadonlyMap<string, string | undefined>,
  underLock: UnderLock,
  signal: AbortSignal,
): Promise<void> {
  const { records, log } = parts;
  for (const { file, problem } of records.unreadable) log.error({ file, problem }, 'network record unreadable, left alone');
  const queue = [...records.all().keys()].values();
  const worker = async (): Promise<void> => {
    for (const sandboxId of queue) {
      signal.throwIfAborted();
      try {
        await underLock(sandboxId, async () => recoverOne(parts, sandboxId, live, signal));
      } catch (error) {
        signal.throwIfAborted();
        log.warn({ sandboxId, err: error }, 'network not recovered');
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

async function recoverOne(
  parts: Parts,
  sandboxId: string,
  live: ReadonlyMap<string, string | undefined>,
  signal: AbortSignal,
): Promise<void> {
  const { records, namespaces, dhcp, log } = parts;
  const record = records.get(sandboxId);
  if (!record) return;
  if (!live.has(sandboxId) || !record.added || record.failedReleases !== undefined) {
    log.info({ sandboxId, netnsPath: record.netnsPath }, 'releasing the network of a sandbox that is no more');
    return tearDown(parts, sandboxId, signal);
  }
  const tap = live.get(sandboxId);
  if (tap === undefined || !(await namespaces.isAlive(record.netnsPath))) return;
  const helper = await dhcp.find(sandboxId, record.dhcp);
  if (!helper) {
    log.warn({ sandboxId }, 'DHCP server was gone, starting another');
    await serve(parts, { ...record, added: record.added }, tap, signal);
  } else if (helper.pid !== record.dhcp?.pid) await records.put(sandboxId, { ...record, joint: { state: 'made', tap }, dhcp: helper });
}
