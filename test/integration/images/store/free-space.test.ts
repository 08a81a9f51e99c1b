import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makeFreeSpace } from '../../../../src/images/store/free-space.ts';
import { tempDir } from '../../../lib/temp.ts';

const mebibyte = 2 ** 20;

/** A file system of 8 MiB. */
function smallDisk(): string {
  const dir = join(tempDir(), 'small');
  mkdirSync(dir);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=0755', 'vmlet-test', dir]);
  onTestFinished(() => void execFileSync('umount', [dir]));
  return dir;
}

const full = { code: 'DISK_FULL' };

test('what does not fit is refused, whoever watches', async () => {
  const dir = smallDisk();
  const { admit } = makeFreeSpace({ dir, minFreeBytes: 0, kubeletRoot: dir });
  await admit(7 * mebibyte);
  const message = expect.stringMatching(/9437184 bytes are wanted and 8388608 are free; remove images or pods$/);
  await expect(admit(9 * mebibyte)).rejects.toThrow(expect.objectContaining({ facts: { ...full, path: dir }, message }));
});

test('where no kubelet watches, images.minFree stays free', async () => {
  const dir = smallDisk();
  for (const kubeletRoot of ['/proc', join(dir, 'absent')]) {
    const { admit } = makeFreeSpace({ dir, minFreeBytes: 4 * mebibyte, kubeletRoot });
    await admit(3 * mebibyte);
    await expect(admit(5 * mebibyte)).rejects.toThrow(/images\.minFree keeps 4194304; remove images or pods/);
  }
});

test('what has no size yet is refused when too little is left', async () => {
  const dir = smallDisk();
  const { admit } = makeFreeSpace({ dir, minFreeBytes: 9 * mebibyte, kubeletRoot: '/proc' });
  await expect(admit(0)).rejects.toThrow(`no space left in ${dir}: ${8 * mebibyte} bytes are free, of which images.minFree keeps`);
});

test('on the kubelet’s own file system the kubelet sees to it', async () => {
  const dir = smallDisk();
  const { admit } = makeFreeSpace({ dir, minFreeBytes: 100 * mebibyte, kubeletRoot: dir });
  await expect(admit(7 * mebibyte)).resolves.toBeUndefined();
});
