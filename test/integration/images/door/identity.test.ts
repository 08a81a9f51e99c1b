import { chmodSync, renameSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { differenceOf, identityOf } from '../../../../src/images/door/identity.ts';
import { tempDir } from '../../../lib/temp.ts';

async function difference(change: (path: string) => void, ignoringCtime = false): Promise<string | undefined> {
  const path = join(tempDir(), 'disk');
  writeFileSync(path, 'sound');
  await using before = await open(path, 'r');
  const was = await identityOf(before);
  change(path);
  await using after = await open(path, 'r').catch(async () => open(`${path}.moved`, 'r'));
  return differenceOf(was, await identityOf(after), ignoringCtime);
}

describe('a file is the same', () => {
  test('when nothing happened to it', async () => {
    expect(await difference(() => undefined)).toBeUndefined();
  });

  test('after a rename and a chmod, apart from ctime', async () => {
    const moved = (path: string): void => renameSync(path, `${path}.moved`);
    expect(await difference(moved, true)).toBeUndefined();
    expect(await difference((path) => chmodSync(path, 0o600))).toBe('ctimeNs');
  });
});

describe('a file is another', () => {
  test('when a path was swapped, also for one of the same bytes and times', async () => {
    const swapped = await difference((path) => {
      writeFileSync(`${path}.other`, 'sound');
      utimesSync(`${path}.other`, 1, 1);
      utimesSync(path, 1, 1);
      renameSync(`${path}.other`, path);
    }, true);
    expect(swapped).toContain('ino');
  });

  test('when bytes were changed, also if its mtime was put back', async () => {
    const rewritten = await difference((path) => {
      writeFileSync(path, 'SOUND');
      utimesSync(path, 1, 1);
    });
    expect(rewritten).toMatch(/mtimeNs, ctimeNs/);
    expect(await difference((path) => truncateSync(path, 1))).toMatch(/^size, /);
  });
});
