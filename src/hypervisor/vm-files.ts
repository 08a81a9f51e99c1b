import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { isErrno } from '../lib/errno.ts';
import { invalid } from '../model/errors.ts';
import type { DiskCache } from './domain-devices.ts';
import type { VmSpec } from './vm-spec.ts';

/** `none` where the file systems of a VM's disks take O_DIRECT (tmpfs, for one, may not), else `writeback`. */
export async function diskCache({ rootDisk, seedPath }: VmSpec): Promise<DiskCache> {
  const direct = await Promise.all([rootDisk.path, rootDisk.base.path, seedPath].map(takesDirect));
  return direct.every(Boolean) ? 'none' : 'writeback';
}

async function takesDirect(path: string): Promise<boolean> {
  try {
    await using _file = await open(path, constants.O_RDONLY | constants.O_DIRECT);
    return true;
  } catch (error) {
    if (isErrno(error, 'EINVAL')) return false;
    throw error;
  }
}

/** The gid of the group `kvm`, which may open /dev/kvm. Throws INVALID when the host has no such group. */
export async function kvmGroup(groupFile = '/etc/group'): Promise<number> {
  const [, gid] = /^kvm:[^:]*:([0-9]+):/m.exec(await readFile(groupFile, 'utf8')) ?? [];
  if (gid === undefined) throw invalid('group kvm', `is not in ${groupFile}; make it with: groupadd --system kvm`);
  return Number(gid);
}
