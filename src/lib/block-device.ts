import { readFile } from 'node:fs/promises';
import { isErrno } from './errno.ts';

/**
 * The path of a block device (`/dev/vda`) by its number (`254:0`), as the kernel names it in sysfs. The number itself for what is no
 * block device: network file systems, overlays, btrfs.
 */
export async function devicePath(number: string): Promise<string> {
  try {
    const name = /^DEVNAME=(.+)$/m.exec(await readFile(`/sys/dev/block/${number}/uevent`, 'utf8'))?.[1];
    return name === undefined ? number : `/dev/${name}`;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENODEV')) return number;
    throw error;
  }
}

/** A device number as stat(2) answers it (`st_dev`), in the form `MAJOR:MINOR` (gnu_dev_major(3), the kernel's new encoding). */
export function deviceNumber(dev: number): string {
  const big = BigInt(dev);
  const major = ((big >> 8n) & 0xfffn) | ((big >> 32n) & 0xffff_f000n);
  const minor = (big & 0xffn) | ((big >> 12n) & 0xffff_ff00n);
  return `${major}:${minor}`;
}
