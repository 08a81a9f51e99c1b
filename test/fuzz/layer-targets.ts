import assert from 'node:assert/strict';
import { Refusal } from '../../src/images/failures.ts';
import { makeTarReader } from '../../src/images/layer/tar-reader.ts';
import { layerOf, paxEntry, tarOf } from '../lib/tar.ts';
import type { FuzzTarget } from './target.ts';

const maxDiskBytes = 2 ** 40;
const disk = { name: 'disk/disk.img', content: Buffer.from('the disk') };

/** The reader of layers. */
export const layerTargets: readonly FuzzTarget[] = [
  {
    name: 'layer tar',
    seeds: [
      () => layerOf(Buffer.from('the disk')),
      () => tarOf({ name: 'disk/', type: '5', format: 'gnu' }, { ...disk, format: 'gnu' }),
      () => tarOf(paxEntry({ path: 'disk/d', mtime: '1.25' }), { ...disk, name: 'elsewhere' }),
      () => tarOf(paxEntry({ size: '8' }), paxEntry({ comment: 'x' }, 'g'), { ...disk, size: 0 }),
      () => tarOf({ name: '././@LongLink', type: 'L', content: Buffer.from(`disk/${'n'.repeat(200)}\0`) }, disk),
    ],
    read: (archive) => {
      if ((archive.at(-1) ?? 0) % 4 !== 3) reseal(archive);
      const whole = read(archive, archive.length);
      assert.deepEqual(read(archive, 100), whole, 'pieces of another size make another reading');
      if (whole.refusal !== undefined) throw whole.refusal;
      assert.ok(whole.sizeBytes !== undefined && whole.sizeBytes <= maxDiskBytes && whole.sizeBytes === whole.content.length, 'a size');
    },
  },
];

interface Reading {
  readonly sizeBytes: number | undefined;
  readonly content: Buffer;
  readonly refusal: Refusal | undefined;
}

function read(archive: Buffer, pieceBytes: number): Reading {
  const reader = makeTarReader({ maxDiskBytes });
  let sizeBytes: number | undefined;
  const parts: Uint8Array[] = [];
  try {
    for (let at = 0; at < archive.length; at += pieceBytes) {
      for (const event of reader.push(archive.subarray(at, at + pieceBytes))) {
        if (event.kind === 'content') parts.push(event.bytes);
        else ({ sizeBytes } = event);
      }
    }
    reader.end();
    return { sizeBytes, content: Buffer.concat(parts), refusal: undefined };
  } catch (error) {
    if (error instanceof Refusal) return { sizeBytes: undefined, content: Buffer.alloc(0), refusal: error };
    throw error;
  }
}

/** Makes the checksums of blocks right again that are headers by their magic. */
function reseal(archive: Buffer): void {
  for (let at = 0; at + 512 <= archive.length; at += 512) {
    const block = archive.subarray(at, at + 512);
    if (block.toString('latin1', 257, 262) !== 'ustar') continue;
    block.fill(' ', 148, 156);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  }
}
