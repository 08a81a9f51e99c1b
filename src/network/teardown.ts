import { messageOf } from '../lib/errno.ts';
import { VmletError } from '../model/errors.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import { removeTaps, restoreLink } from './joint.ts';
import type { Parts } from './parts.ts';

interface Failure {
  readonly what: string;
  readonly error: unknown;
}

/** How far an ADD came, and what to do about a DEL that fails. */
interface Extent {
  /** How many plugins were started; default all. */
  readonly started?: number;
  /** Removes the namespace also when DEL failed: for an ADD that never came to its end, which nobody will ask for again. */
  readonly force?: boolean;
}

/**
 * Undoes everything of a sandbox, in the order that plugins need: DHCP and tap go, the interface is put back, DEL, then the namespace.
 * A failing step does not stop the others. As long as DEL fails the namespace and the record stay, so that the next call can complete it.
 * A sandbox without record is fine. Errors: CNI_FAILED.
 */
export async function tearDown(parts: Parts, sandboxId: string, signal: AbortSignal, extent: Extent = {}): Promise<void> {
  const { records, namespaces, cni, dhcp, log } = parts;
  const record = records.get(sandboxId);
  if (!record) return;
  const failures: Failure[] = [];
  const step = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      failures.push({ what, error });
    }
  };
  const { netnsPath, network, subject, joint, added } = record;
  const isAlive = await namespaces.isAlive(netnsPath);
  if (joint) {
    await step('end DHCP', async () => dhcp.stop(sandboxId, record.dhcp));
    await step('remove the tap', async () => removeTaps(parts, record, joint.tap, signal));
    if (isAlive) await restoreLink(parts, record, signal).catch((error: unknown) => logRestore(parts, record, error));
  }
  const failed = await cni.del(
    {
      network,
      subject,
      netnsPath: isAlive ? netnsPath : '',
      ...(added ? { result: added.result } : {}),
      ...(extent.started === undefined ? {} : { started: extent.started }),
    },
    signal,
  );
  failures.push(...failed.map((error) => ({ what: 'CNI DEL', error })));
  if (failed.length === 0 || extent.force === true) await step('remove the netns', async () => namespaces.remove(netnsPath, signal));
  if (failures.length > 0) throw asOne(failures);
  await records.remove(sandboxId);
  log.debug({ sandboxId, netnsPath }, 'network released');
}

/** Undoes an ADD that failed, whatever became of its caller. What cannot be undone is logged and kept for the next start of the daemon. */
export async function rollBack(parts: Parts, sandboxId: string, started: number): Promise<void> {
  const fresh = AbortSignal.timeout(rollBackTimeoutMs);
  await tearDown(parts, sandboxId, fresh, { started, force: true }).catch((error: unknown) => {
    parts.log.warn({ sandboxId, err: error }, 'network not rolled back; it will be tried again');
  });
}

const rollBackTimeoutMs = 120_000;

function logRestore({ log }: Parts, { subject }: AttachmentRecord, error: unknown): void {
  log.warn({ sandboxId: subject.sandboxId, err: error }, 'CNI interface not put back; plugins may leave rules behind');
}

function asOne(failures: readonly Failure[]): Error {
  const text = failures
    .map(({ what, error }) => (error instanceof VmletError ? error.message : `could not ${what}: ${messageOf(error)}`))
    .join('; ');
  const cause = new AggregateError(failures.map(({ error }) => error));
  const first = failures.map(({ error }) => error).find((error) => error instanceof VmletError);
  return first ? new VmletError(first.facts, text, { cause }) : new Error(text, { cause });
}
