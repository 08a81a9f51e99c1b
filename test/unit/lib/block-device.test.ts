import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { deviceNumber, devicePath } from '../../../src/lib/block-device.ts';

describe('a block device', () => {
  it('is named as the kernel names it', async () => {
    const [number = ''] = readdirSync('/sys/dev/block');
    const name = /^DEVNAME=(.+)$/m.exec(readFileSync(`/sys/dev/block/${number}/uevent`, 'utf8'))?.[1];
    expect(await devicePath(number)).toBe(`/dev/${name}`);
  });

  it('has its number for a name where there is no such device', async () => {
    expect(await devicePath('0:37')).toBe('0:37');
  });

  it.each([
    [0xfe00, '254:0'],
    [0x1_0301, '259:1'],
    [0x10_082c, '8:300'],
    [0x25, '0:37'],
  ])('number %i is %s', (dev, expected) => {
    expect(deviceNumber(dev)).toBe(expected);
  });
});
