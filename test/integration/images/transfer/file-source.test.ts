import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BehindEnd, type BlobBody, type BlobRequest } from '../../../../src/images/transfer/blob-source.ts';
import { fileSource } from '../../../../src/images/transfer/file-source.ts';
import { tempDir } from '../../../lib/temp.ts';
import { digestOf, fetchInto, someBytes } from './fetching.ts';

const { signal } = new AbortController();

async function open(path: string, request: BlobRequest = {}): Promise<BlobBody> {
  const body = await fileSource(path).open(request, signal);
  if (body.kind !== 'body') throw new Error(body.kind);
  return body;
}

async function drop({ chunks, validators }: BlobBody): Promise<BlobBody['validators']> {
  await chunks[Symbol.asyncIterator]().return?.();
  return validators;
}

async function textOf({ chunks }: BlobBody): Promise<string> {
  let text = '';
  for await (const chunk of chunks) text += chunk.toString();
  return text;
}

function fileWith(content: string | Buffer): string {
  const path = join(tempDir(), 'disk');
  writeFileSync(path, content);
  return path;
}

describe('a file as a source', () => {
  test('gives the whole, and parts of it', async () => {
    const path = fileWith('0123456789');
    const whole = await open(path);
    expect(whole).toMatchObject({ from: 0, isPartial: false, totalBytes: 10 });
    expect(await textOf(whole)).toBe('0123456789');
    const part = await open(path, { range: { from: 2, to: 5 }, ifRange: whole.validators });
    expect(part).toMatchObject({ from: 2, isPartial: true, totalBytes: 10, validators: whole.validators });
    expect(await textOf(part)).toBe('234');
    expect(await textOf(await open(path, { range: { from: 7, to: 99 } }))).toBe('789');
    expect(await textOf(await open(path, { range: { from: 7 } }))).toBe('789');
    await expect(open(path, { range: { from: 10 } })).rejects.toBeInstanceOf(BehindEnd);
    expect(await fileSource(path).open({ unlessCurrent: whole.validators }, signal)).toEqual({ kind: 'unchanged' });
  });

  test('gives the whole when its bytes are others, and nothing mixed', async () => {
    const path = fileWith('0123456789');
    const validators = await drop(await open(path));
    const reading = await open(path);
    writeFileSync(path, 'abcdefghij');
    await expect(textOf(reading)).rejects.toMatchObject({ kind: 'answer', message: expect.stringContaining('changed while it was read') });
    const whole = await open(path, { range: { from: 2 }, ifRange: validators });
    expect(whole).toMatchObject({ from: 0, isPartial: false });
    await drop(whole);
  });

  test('is copied and followed like any blob', async () => {
    const bytes = someBytes(3 * 2 ** 20 + 5);
    const seen = fetchInto(fileSource(fileWith(bytes)), { request: { connections: 1 } });
    expect(await seen.result).toMatchObject({ kind: 'received', followed: { blob: { digest: digestOf(bytes) } } });
    expect(seen.bytes().equals(bytes)).toBe(true);
    const empty = fetchInto(fileSource(fileWith('')));
    expect(await empty.result).toMatchObject({ sizeBytes: 0 });
  });

  test('that grows meanwhile is copied anew, once', async () => {
    const path = fileWith(someBytes(2 ** 20));
    let changes = 0;
    const grow = (): void => {
      if (changes < 1) appendFileSync(path, 'more');
      changes += 1;
    };
    const seen = fetchInto(fileSource(path), { request: { connections: 1 }, deps: { onBeginning: grow } });
    expect(await seen.result).toMatchObject({ sizeBytes: 2 ** 20 + 4 });
    const growing = fetchInto(fileSource(path), { request: { connections: 1 }, deps: { onBeginning: () => appendFileSync(path, 'more') } });
    await expect(growing.result).rejects.toMatchObject({ kind: 'answer', message: expect.stringContaining('changed while') });
  });
});

describe('what is no file', () => {
  const make: Readonly<Record<string, (path: string) => void>> = {
    'is not there': () => undefined,
    'is a directory': (path) => mkdirSync(path),
    'is a pipe': (path) => execFileSync('mkfifo', [path]),
    'is a link': (path) => symlinkSync('/etc/passwd', path),
  };
  test.each([
    ['is not there', /cannot be read \(ENOENT\)/],
    ['is a directory', /is no regular file/],
    ['is a pipe', /is no regular file/],
    ['is a link', /is a symbolic link/],
  ])('%s', async (what, message) => {
    const path = join(tempDir(), 'disk');
    make[what]?.(path);
    await expect(open(path)).rejects.toMatchObject({
      kind: 'status',
      registryAway: false,
      message: expect.stringMatching(message),
    });
    await expect(open(path)).rejects.toThrow(`the file ${path} that the node's configuration names`);
  });

  test('is a device', async () => {
    await expect(open('/dev/zero')).rejects.toThrow(/is no regular file/);
  });
});
