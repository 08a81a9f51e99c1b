import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runProgram } from '../../../src/lib/run-program.ts';
import { makeVolumes } from '../../../src/volumes/volumes.ts';
import { tempDir } from '../../lib/temp.ts';

describe('the base of an overlay', () => {
  const volumes = makeVolumes();

  it('is what qemu-img and we have written', async () => {
    const dir = tempDir();
    const base = join(dir, 'base.raw');
    writeFileSync(base, Buffer.alloc(2 ** 20));
    const [ours, theirs] = [join(dir, 'ours.qcow2'), join(dir, 'theirs.qcow2')];
    await volumes.makeRootDisk(
      { path: ours, base: { path: base, format: 'raw', virtualSizeBytes: 2 ** 20 }, uid: 0, gid: 0 },
      AbortSignal.timeout(30_000),
    );
    await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', base, theirs], { signal: AbortSignal.timeout(30_000) });
    expect([await volumes.baseOf(ours), await volumes.baseOf(theirs)]).toEqual([base, base]);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['no qcow2', Buffer.alloc(512, 1)],
    ['no base', header(0n, 0)],
    ['a base beyond the end', header(2n ** 40n, 10)],
    ['a base past all numbers', header(2n ** 63n, 10)],
    ['a base of 4 GiB', header(20n, 2 ** 32 - 1)],
  ])('is none for a disk with %s', async (_, bytes) => {
    const file = join(tempDir(), 'disk');
    writeFileSync(file, bytes);
    expect(await volumes.baseOf(file)).toBeUndefined();
  });

  it('is not read through a link', async () => {
    const dir = tempDir();
    symlinkSync('/etc/passwd', join(dir, 'disk'));
    await expect(volumes.baseOf(join(dir, 'disk'))).rejects.toThrow(/ELOOP/);
  });
});

function header(offset: bigint, length: number): Buffer {
  const bytes = Buffer.alloc(64);
  bytes.write('QFI\xfb', 0, 'latin1');
  bytes.writeUInt32BE(3, 4);
  bytes.writeBigUInt64BE(offset, 8);
  bytes.writeUInt32BE(length, 16);
  return bytes;
}
