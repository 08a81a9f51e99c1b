import { messageOf } from '../lib/errno.ts';
import { VmletError } from '../model/errors.ts';
import { functionsOf, type AttachmentRecord } from './attachment-record.ts';
import { beginDel, del, goneLinks, isNeededForDel } from './del.ts';
import { removeTaps } from './links/joint.ts';
import type { LinkState } from './links/link-state.ts';
import type { Parts } from './parts.ts';
import { putBack } from './links/put-back.ts';
import { returnFunctions } from './sriov/return.ts';
import type { AddProgress } from './cni/cni.ts';

interface Failure {
  readonly what: string;
  readonly error: unknown;
}

/** Does a part of the whole; what fails is noted, and the next part is done all the same. */
type Step = (what: string, work: () => Promise<unknown>) => Promise<void>;

/**
 * Undoes everything of a sandbox, in the order that plugins need: DHCP and tap go, what a VM had comes back, the interface is put back,
 * DEL, then the namespace. A failing plugin does not stop the others. DEL waits for an interface that is put back, but not for ever. As
 * long as DEL fails the record stays, and the namespace if DEL needs it; the whole is tried again in the background, and a next call may
 * complete it too. A sandbox without record is fine. `failedAdd` is how far an ADD came that has just failed. Errors: CNI_FAILED.
 */
export async function tearDown(parts: Parts, sandboxId: string, signal: AbortSignal, failedAdd?: AddProgress): Promise<void> {
  const { records, namespaces, cache, dhcp, log } = parts;
  const found = records.get(sandboxId);
  if (!found) return;
  const record: AttachmentRecord = failedAdd ? { ...found, progress: failedAdd } : found;
  const failures: Failure[] = [];
  const step: Step = async (what, work) => {
    try {
      await work();
    } catch (error) {
      failures.push({ what, error });
    }
  };
  const { netnsPath, network, joint } = record;
  const isAlive = await namespaces.isAlive(netnsPath);
  let gone: readonly LinkState[] = [];
  if (isAlive) await step('look for the CNI interface', async () => void (gone = await goneLinks(parts, record, signal)));
  if (joint) {
    await step('end DHCP', async () => dhcp.stop(sandboxId, record.dhcp));
    await step('remove the tap', async () => removeTaps(parts, record, joint.tap, signal));
  }
  if (isAlive) await reclaim(parts, { record, gone, step }, signal);
  if (failures.length > 0 && mayWait(record)) await fail(parts, sandboxId, failures);
  const progress = await progressOf(parts, record);
  const begun = isAlive ? await beginDel(parts, record, signal) : record;
  const how = { record, netnsPath: isAlive ? netnsPath : '', progress, gone, mayWait: mayWait(record) };
  const failed = await del(parts, how, signal).catch((error: unknown) => [error]);
  failures.push(...failed.map((error) => ({ what: 'CNI DEL', error })));
  if (failed.length === 0 || !isNeededForDel(begun)) await step('remove the netns', async () => namespaces.remove(netnsPath, signal));
  if (failed.length === 0) await step('remove the cached result', async () => cache.remove(network, sandboxId));
  if (failures.length === 0) await step('remove the record', async () => records.remove(sandboxId));
  if (failures.length > 0) await fail(parts, sandboxId, failures);
  log.debug({ sandboxId, netnsPath }, 'network released');
}

/**
 * Makes the pod's interfaces what ADD left: those that a VM had as devices come back, also where a start was cut short before the join;
 * but not once DEL has begun, which may have given them to the node, and the node to another pod.
 */
async function reclaim(
  parts: Parts,
  { record, gone, step }: { readonly record: AttachmentRecord; readonly gone: readonly LinkState[]; readonly step: Step },
  signal: AbortSignal,
): Promise<void> {
  const hasFunctions = !record.deleting && functionsOf(record).length > 0;
  if (hasFunctions) await step('give the virtual functions back', async () => returnFunctions(parts, record, { mayRebind: true }, signal));
  if (record.joint || hasFunctions) await step('put the CNI interface back', async () => putBack(parts, record, gone, signal));
}

/** A failure so often is no longer the caller's: a pod whose network cannot be released must not be there for ever. */
const mostFailures = 3;

/**
 * Releases a sandbox's network as a caller sees it. After three failures, of calls or in the background, it is left to the background, and
 * calls succeed: the pod can be removed, its address stays taken until the plugins give it back. Errors: CNI_FAILED.
 */
export async function release(parts: Parts, sandboxId: string, signal: AbortSignal): Promise<void> {
  try {
    await tearDown(parts, sandboxId, signal);
  } catch (error) {
    if (signal.aborted || !isLeftToBackground(parts, sandboxId)) throw error;
    parts.log.warn({ sandboxId, err: error }, 'network cannot be released; its pod may go, it is tried again in the background');
  }
}

/** True for a network that callers need not wait for any more. */
export function isLeftToBackground({ records }: Pick<Parts, 'records'>, sandboxId: string): boolean {
  return (records.get(sandboxId)?.failedReleases ?? 0) >= mostFailures;
}

/** Notes a failure on disk, so that a restart does not begin to count anew, and has it tried again. */
async function countFailure({ records, releases, log }: Parts, sandboxId: string): Promise<void> {
  const record = records.get(sandboxId);
  if (!record) return;
  const failedReleases = (record.failedReleases ?? 0) + 1;
  await records.put(sandboxId, { ...record, failedReleases }).catch((error: unknown) => {
    log.warn({ sandboxId, error: messageOf(error) }, 'a failure to release a network could not be recorded');
  });
  releases.later(sandboxId, failedReleases);
}

/** What DEL is told of an ADD: all of it, or what a daemon that died in the midst of it has left on disk. */
async function progressOf({ cache }: Parts, { network, subject, added, progress }: AttachmentRecord): Promise<Partial<AddProgress>> {
  if (added) return { result: added.result };
  const result = await cache.result(network, subject.sandboxId);
  return result ? { result } : (progress ?? {});
}

/** Undoes an ADD that failed, whatever became of its caller. What cannot be undone is logged and kept, to be tried again. */
export async function rollBack(parts: Parts, sandboxId: string, failedAdd: AddProgress): Promise<void> {
  const fresh = AbortSignal.timeout(rollBackTimeoutMs);
  await tearDown(parts, sandboxId, fresh, failedAdd).catch((error: unknown) => {
    parts.log.warn({ sandboxId, err: error }, 'network not rolled back; it will be tried again');
  });
}

const rollBackTimeoutMs = 120_000;

/** An interface that is not as ADD left it is waited for as long as callers are told of failures; then DEL has to do without. */
function mayWait({ failedReleases = 0 }: AttachmentRecord): boolean {
  return failedReleases + 1 < mostFailures;
}

/**
 * A caller who is gone counts too: plugins that hang for longer than any caller waits would else never be left to the background. The end
 * of the daemon does not.
 */
async function fail(parts: Parts, sandboxId: string, failures: readonly Failure[]): Promise<never> {
  if (!parts.closing.aborted) await countFailure(parts, sandboxId);
  throw asOne(failures);
}

function asOne(failures: readonly Failure[]): Error {
  const text = failures
    .map(({ what, error }) => (error instanceof VmletError ? error.message : `could not ${what}: ${messageOf(error)}`))
    .join('; ');
  const cause = new AggregateError(failures.map(({ error }) => error));
  const first = failures.map(({ error }) => error).find((error) => error instanceof VmletError);
  return first ? new VmletError(first.facts, text, { cause }) : new Error(text, { cause });
}
