import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ForeignFormat } from '../../src/images/door/foreign-header.ts';
import { tempDir } from './temp.ts';

/** Disks of other formats that stand alone, by the options that qemu-img makes them with. */
export const soundForeign: readonly { readonly format: ForeignFormat; readonly options: string }[] = [
  { format: 'vmdk', options: 'subformat=monolithicSparse' },
  { format: 'vmdk', options: 'subformat=streamOptimized' },
  { format: 'vmdk', options: 'subformat=monolithicSparse,hwversion=6' },
  { format: 'vmdk', options: 'subformat=monolithicSparse,zeroed_grain=on' },
  { format: 'vdi', options: '' },
  { format: 'vdi', options: 'static=on' },
  { format: 'vhdx', options: '' },
  { format: 'vhdx', options: 'subformat=fixed' },
  { format: 'vhdx', options: 'block_size=1M' },
  { format: 'vhdx', options: 'block_size=256M' },
];

/** A streamOptimized VMDK as VMware writes it: the header says that the grain directory is found by a copy of the header behind the data. */
export function streamWithFooter(): Buffer {
  const disk = foreignDisk('vmdk', 'subformat=streamOptimized');
  const [header, end] = [disk.subarray(0, 512), Buffer.alloc(512)];
  const marker = Buffer.alloc(512);
  marker.writeUInt32LE(1, 0); // sectors that follow
  marker.writeUInt32LE(3, 12); // a footer
  const padding = Buffer.alloc((512 - (disk.length % 512)) % 512);
  const whole = Buffer.concat([disk, padding, marker, header, end]);
  whole.fill(0xff, 56, 64);
  return whole;
}

/** A raw disk of 16 MiB with data at its beginning, its end and in between. */
export function rawContent(): Buffer {
  const disk = Buffer.alloc(16 * 2 ** 20);
  for (let at = 0; at < 300_000; at += 4) disk.writeUInt32LE(Math.imul(at, 2_654_435_761) >>> 0, at);
  disk.write('in the middle', 7_340_032);
  disk.write('end', disk.length - 3);
  return disk;
}

/** A disk as qemu-img converts it, as bytes. */
export function foreignDisk(format: string, options: string, raw = rawContent()): Buffer {
  const dir = tempDir();
  const [from, to] = [join(dir, 'raw'), join(dir, `disk.${format}`)];
  writeFileSync(from, raw);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', format, ...(options === '' ? [] : ['-o', options]), from, to]);
  const bytes = readFileSync(to);
  rmSync(dir, { recursive: true });
  return bytes;
}
