import fc from 'fast-check';
import { chmodSync, closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { confinedFile, runConfined } from '../../../../src/images/door/confined.ts';
import { parseQcow2Header } from '../../../../src/images/door/qcow2-header.ts';
import { Refusal } from '../../../../src/images/failures.ts';
import { newQcow2 } from '../../../lib/qcow2.ts';
import { tempDir } from '../../../lib/temp.ts';

const signal = AbortSignal.timeout(120_000);
const user = { uid: 65_534, gid: 65_534 };

/** Changed disks that our own reading accepts are asked about; the others need no second opinion. */
const samples = 60;

interface Info {
  readonly format: string;
  readonly 'virtual-size': number;
}

/** What QEMU says of a file when it is left to guess, or `undefined` when it cannot open it. */
async function infoOf(bytes: Buffer): Promise<Info | undefined> {
  const path = join(tempDir(), 'disk');
  writeFileSync(path, bytes);
  chmodSync(path, 0o644);
  const fd = openSync(path, 'r');
  try {
    const { exitCode, stdout } = await runConfined(['qemu-img', 'info', '--output=json', confinedFile], { user, fd }, signal);
    return exitCode === 0 ? (JSON.parse(stdout) as Info) : undefined;
  } finally {
    closeSync(fd);
  }
}

function accepted(bytes: Buffer): number | undefined {
  try {
    return parseQcow2Header(bytes, { fileBytes: bytes.length, maxVirtualBytes: 2 ** 40 }).virtualSizeBytes;
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

test('what our reading accepts, QEMU opens as qcow2 of the same size that stands alone, or not at all', { timeout: 120_000 }, async () => {
  const sound = newQcow2('64M', ['-o', 'cluster_size=4k']);
  const edit = fc.record({ at: fc.nat(700), value: fc.nat(255) });
  let asked = 0;
  let opened = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      const disk = Buffer.from(sound);
      for (const { at, value } of edits) disk[at] = value;
      const sizeBytes = accepted(disk);
      if (sizeBytes === undefined || asked >= samples) return;
      asked += 1;
      const info = await infoOf(disk);
      if (info === undefined) return;
      opened += 1;
      expect({ format: info.format, size: info['virtual-size'] }).toEqual({ format: 'qcow2', size: sizeBytes });
      expect(Object.keys(info).filter((key) => key.includes('backing') || key === 'snapshots' || key === 'encrypted')).toEqual([]);
      expect(JSON.stringify(info)).not.toContain('data-file"');
    }),
    { numRuns: 2_000 },
  );
  expect(asked).toBe(samples);
  expect(opened).toBeGreaterThan(samples / 4);
});
