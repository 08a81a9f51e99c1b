import { readFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makeBlobFile } from '../../../../src/images/transfer/blob-file.ts';
import { tempDir } from '../../../lib/temp.ts';
import { someBytes } from './fetching.ts';

const mebibyte = 2 ** 20;

async function emptyFile(): Promise<{ file: FileHandle; path: string }> {
  const path = join(tempDir(), 'blob');
  const file = await open(path, 'wx+');
  onTestFinished(async () => file.close());
  return { file, path };
}

test('pieces are written where they belong, and durable after a sync only', async () => {
  const { file, path } = await emptyFile();
  const bytes = someBytes(5 * mebibyte);
  const prefixes: number[] = [];
  const blob = makeBlobFile(file, [], (prefix) => prefixes.push(prefix));
  const [second, first] = [blob.writerAt(3 * mebibyte), blob.writerAt(0)];
  for (let at = 3 * mebibyte; at < bytes.length; at += 65_536) await second.write(bytes.subarray(at, at + 65_536));
  await second.flush();
  expect(prefixes).toEqual([]);
  expect([blob.written(), blob.durable()]).toEqual([[{ from: 3 * mebibyte, to: 5 * mebibyte }], []]);
  await blob.sync();
  expect(blob.durable()).toEqual([{ from: 3 * mebibyte, to: 5 * mebibyte }]);
  for (let at = 0; at < 3 * mebibyte; at += 50_000) await first.write(bytes.subarray(at, Math.min(at + 50_000, 3 * mebibyte)));
  expect(first.position()).toBe(3 * mebibyte);
  await first.flush();
  expect(prefixes.at(-1)).toBe(5 * mebibyte);
  expect(readFileSync(path).equals(bytes)).toBe(true);
  await blob.settled();
});

test('the disk begins its own work every 64 MiB', async () => {
  const { file } = await emptyFile();
  const blob = makeBlobFile(file, [], () => undefined);
  const writer = blob.writerAt(0);
  for (let count = 0; count < 65; count += 1) await writer.write(Buffer.alloc(mebibyte, 1));
  await writer.flush();
  await blob.settled();
  expect(blob.durable()[0]?.to).toBeGreaterThanOrEqual(64 * mebibyte);
});

test('a failed sync is not forgotten', async () => {
  const { file } = await emptyFile();
  const failure = Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
  let syncs = 0;
  file.datasync = async () => {
    syncs += 1;
    throw failure;
  };
  const blob = makeBlobFile(file, [], () => undefined);
  const writer = blob.writerAt(0);
  await writer.write(Buffer.from('x'));
  await writer.flush();
  await expect(blob.sync()).rejects.toBe(failure);
  await expect(writer.write(Buffer.alloc(2 * mebibyte))).rejects.toBe(failure);
  await expect(blob.settled()).rejects.toBe(failure);
  expect([syncs, blob.durable()]).toEqual([1, []]);
});
