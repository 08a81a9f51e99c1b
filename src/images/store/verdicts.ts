import { open } from 'node:fs/promises';
import { isErrno, messageOf } from '../../lib/errno.ts';
import type { Log } from '../../lib/log.ts';
import type { Door, DoorVersions } from '../door/door.ts';
import { Refusal } from '../failures.ts';
import type { ImageRecord } from './image-record.ts';
import type { Store } from './store.ts';

/**
 * Judges images again whose verdict was reached by other rules or another QEMU. One that fails now is no longer found, so that a kubelet pulls
 * it anew and is told why; it stays listed, so that it can be removed, and stays the base of root disks that exist. When the door itself
 * cannot work, or the disk cannot be read, verdicts stay as they are.
 */
export async function renewVerdicts(store: Store, door: Door, log: Log): Promise<void> {
  const signal = AbortSignal.timeout(renewalTimeoutMs);
  try {
    const versions = await door.versions(signal);
    for (const { image, record } of store.records()) {
      if (isCurrent(record, versions)) continue;
      const verdict = await judge(image.path, record, { door, versions, signal }).catch((error: unknown) => {
        if (!isErrno(error, 'EIO', 'ENOENT', 'EACCES')) throw error;
        log.warn({ imageId: image.id, problem: messageOf(error) }, 'image not judged again');
        return undefined; // the others are
      });
      if (!verdict) continue;
      await store.judge(image.id, { ...record, verdict });
      if (verdict.refused !== undefined) log.error({ imageId: image.id, rule: verdict.refused }, 'image is refused by now');
    }
  } catch (error) {
    log.warn({ problem: messageOf(error) }, 'images not judged again');
  }
}

interface Judging {
  readonly door: Door;
  readonly versions: DoorVersions;
  readonly signal: AbortSignal;
}

async function judge(path: string, record: ImageRecord, { door, versions, signal }: Judging): Promise<ImageRecord['verdict']> {
  await using disk = await open(path, 'r');
  try {
    return (await door.inspect(disk, record.format, signal)).versions;
  } catch (error) {
    if (error instanceof Refusal) return { ...versions, refused: error.rule };
    throw error;
  }
}

function isCurrent(record: ImageRecord, versions: DoorVersions): boolean {
  return record.verdict.rules === versions.rules && record.verdict.qemu === versions.qemu;
}

const renewalTimeoutMs = 600_000;
