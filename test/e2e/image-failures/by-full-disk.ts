import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { foreignDisk } from '../../lib/foreign-disks.ts';
import { newQcow2 } from '../../lib/qcow2.ts';
import type { Failures, Staging } from './staging.ts';

const mib = 2 ** 20;

/** Bytes of the file system that the store is put on, and what `images.minFree` keeps of it. */
export const smallStore = { bytes: 32 * mib, minFree: 8 * mib, files: 200 } as const;

/** Puts the store on a small file system of its own; the daemon must not run. */
export function mountSmallStore(storeDir: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${smallStore.bytes},nr_inodes=${smallStore.files},mode=0711`, 'tmpfs', storeDir]);
}

/** Leaves room for so many more files in the store, until the running test ends. */
function leaveFiles(storeDir: string, count: number): void {
  const filler = (number: number): string => join(storeDir, `filler-${number}`);
  const fillers = statfsSync(storeDir).ffree - count;
  for (let number = 0; number < fillers; number += 1) writeFileSync(filler(number), '');
  onTestFinished(() => {
    for (const name of readdirSync(storeDir)) if (name.startsWith('filler-')) rmSync(join(storeDir, name));
  });
}

/** Room for so many more files in the store: the download, the image's record, its digest's and its tag's are four. */
export const withFiles =
  (count: number) =>
  (at: Staging): string => {
    const reference = at.web(newQcow2());
    leaveFiles(join(at.node.stateDir, 'images'), count);
    return reference;
  };

const mostlyOne = (bytes: number): Buffer => Buffer.concat([newQcow2(), Buffer.alloc(bytes, 'x')]);

/** Where a disk can be full; the store must be a `mountSmallStore`. */
export const fullDiskFailures: Failures = {
  'the disk has no room for what the server announces': (at) => at.web(mostlyOne(smallStore.bytes)),
  'the disk would have less than images.minFree afterwards': (at) => at.web(mostlyOne(smallStore.bytes - smallStore.minFree / 2)),
  'the disk runs full while bytes come that nobody announced': (at) => {
    const disk = mostlyOne(smallStore.bytes);
    return at.web((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      response.write(disk.subarray(0, mib));
      response.end(disk.subarray(mib));
    });
  },
  'the disk runs full while it is unpacked': (at) => at.web(gzipSync(mostlyOne(smallStore.bytes)), { end: '.gz' }),
  'the disk runs full while it is converted': (at) => {
    const raw = Buffer.alloc(smallStore.bytes + 4 * mib, 'x');
    return at.web(foreignDisk('vmdk', 'subformat=streamOptimized', raw), { format: 'vmdk' });
  },
  'no further file can be made: the download': withFiles(0),
  'no further file can be made: the image’s record': withFiles(1),
  'no further file can be made: its digest’s record': withFiles(2),
  'no further file can be made: its tag’s record': withFiles(3),
};
