import { expect, it } from 'vitest';
import { bootMarker, bootSectorKinds, makeBootDisk } from '../../../images/bootsector/sectors.ts';

it.each(bootSectorKinds)('%s fits into one sector that a BIOS starts', (kind) => {
  const disk = makeBootDisk(kind);
  expect(disk.length).toBe(2 ** 20);
  expect([...disk.subarray(510, 512)]).toEqual([0x55, 0xaa]);
  expect(disk.subarray(512).every((byte) => byte === 0)).toBe(true);
  expect(Buffer.from(disk.subarray(0, 510)).includes(bootMarker(kind))).toBe(true);
});
