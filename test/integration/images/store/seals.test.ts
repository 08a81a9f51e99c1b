import { chmodSync, cpSync, linkSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { identityOf } from '../../../../src/images/door/identity.ts';
import { makeSeals } from '../../../../src/images/store/seals.ts';
import { tempDir } from '../../../lib/temp.ts';

const refused = expect.objectContaining({ facts: expect.objectContaining({ code: 'IMAGE_REFUSED', rule: 'changed' }) });

function disk(): { readonly file: string; readonly seals: ReturnType<typeof makeSeals> } {
  const file = join(tempDir(), 'disk');
  writeFileSync(file, 'a disk');
  return { file, seals: makeSeals(() => file) };
}

describe('a sealed disk', () => {
  test('passes as long as nobody touches it; without a seal anything passes', async () => {
    const { seals } = disk();
    const check = (): void => seals.check('image');
    expect(check).not.toThrow();
    await seals.seal('image');
    expect(check).not.toThrow();
    seals.forget('image');
    expect(check).not.toThrow();
  });

  const changes: Readonly<Record<string, (file: string) => void>> = {
    'written to, with its time put back': (file) => {
      writeFileSync(file, 'b disk');
      utimesSync(file, 0, 0);
    },
    'replaced by a copy': (file) => {
      cpSync(file, `${file}.copy`, { preserveTimestamps: true });
      renameSync(`${file}.copy`, file);
    },
    'replaced by a link to itself': (file) => {
      renameSync(file, `${file}.real`);
      symlinkSync(`${file}.real`, file);
    },
    'given another name': (file) => linkSync(file, `${file}.second`),
    'made writable': (file) => chmodSync(file, 0o666),
  };
  test.each(Object.entries(changes))('that was %s is noticed', async (_what, change) => {
    const { file, seals } = disk();
    await seals.seal('image');
    change(file);
    expect(() => seals.check('image')).toThrow(refused);
  });

  test('that is gone is an error', async () => {
    const { file, seals } = disk();
    await seals.seal('image');
    rmSync(file);
    expect(() => seals.check('image')).toThrow('ENOENT');
  });
});

test('what is sealed must be what was judged, but for its name', async () => {
  const { file, seals } = disk();
  await using handle = await open(file, 'r');
  const judged = await identityOf(handle);
  renameSync(file, `${file}.new`);
  renameSync(`${file}.new`, file);
  await seals.seal('image', judged);
  cpSync(file, `${file}.copy`, { preserveTimestamps: true });
  renameSync(`${file}.copy`, file);
  await expect(seals.seal('image', judged)).rejects.toThrow(refused);
});
