import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Journal } from '../../../../src/images/transfer/journal.ts';
import { openPartial, sweepPartials } from '../../../../src/images/transfer/partial.ts';
import { tempDir } from '../../../lib/temp.ts';

const journal: Journal = {
  identity: { totalBytes: 10, validators: { etag: '"a"' }, expectedDigest: undefined },
  durable: [{ from: 0, to: 4 }],
};

describe('a partial file', () => {
  test('is there again with its journal when it is opened again', async () => {
    const dir = tempDir();
    {
      await using partial = await openPartial(dir, 'ab12');
      expect(await partial.readJournal()).toBeUndefined();
      await partial.file.write(Buffer.from('0123'), 0, 4, 0);
      await partial.writeJournal(journal);
    }
    expect(statSync(join(dir, 'ab12.part')).mode & 0o777).toBe(0o600);
    await using partial = await openPartial(dir, 'ab12');
    expect(await partial.readJournal()).toEqual(journal);
    expect(statSync(partial.path).size).toBe(4);
    await partial.empty();
    expect(await partial.readJournal()).toBeUndefined();
    expect(statSync(partial.path).size).toBe(0);
    await partial.writeJournal(journal);
    expect(await partial.readJournal()).toBeUndefined(); // claims more than there is
    await partial.discard();
    await partial.discard();
    expect(readdirSync(dir)).toEqual([]);
  });

  test('does not follow a link, and has a name of hexadecimal digits', async () => {
    const dir = tempDir();
    symlinkSync('/etc/passwd', join(dir, 'ab.part'));
    await expect(openPartial(dir, 'ab')).rejects.toMatchObject({ code: 'ELOOP' });
    await expect(openPartial(dir, '../ab')).rejects.toThrow(RangeError);
  });

  test('whose journal is no file begins from nothing', async () => {
    const dir = tempDir();
    symlinkSync('/dev/zero', join(dir, 'ab.json'));
    await using partial = await openPartial(dir, 'ab');
    expect(await partial.readJournal()).toBeUndefined();
    writeFileSync(join(dir, 'cd.json'), Buffer.alloc(2 ** 20));
    await using other = await openPartial(dir, 'cd');
    expect(await other.readJournal()).toBeUndefined();
  });
});

describe('sweeping', () => {
  const now = Date.now();

  function make(dir: string, name: string, ageMs: number): void {
    writeFileSync(join(dir, name), 'x');
    utimesSync(join(dir, name), (now - ageMs) / 1000, (now - ageMs) / 1000);
  }

  test('takes what is old and unused, and nothing else', async () => {
    const dir = tempDir();
    for (const name of ['aa.part', 'aa.json', 'aa.json.new', 'dd.part.removed', 'ee.json']) make(dir, name, 5000);
    for (const name of ['bb.part', 'bb.json', 'cc.json', 'notes.txt', 'gg.part']) make(dir, name, 5000);
    make(dir, 'cc.part', 10);
    mkdirSync(join(dir, 'sub'));
    const swept = await sweepPartials(dir, { inUse: (key) => key === 'bb', olderThanMs: 1000, now });
    expect(swept.toSorted()).toEqual(['aa', 'ee']);
    expect(readdirSync(dir).toSorted()).toEqual(['bb.json', 'bb.part', 'cc.json', 'cc.part', 'gg.part', 'notes.txt', 'sub']);
  });

  test('never takes the file of a pull that begins meanwhile', async () => {
    for (let turn = 0; turn < 20; turn += 1) {
      const dir = tempDir();
      make(dir, 'aa.part', 5000);
      make(dir, 'aa.json', 5000);
      const used = new Set<string>();
      const sweeping = sweepPartials(dir, { inUse: (key) => used.has(key), olderThanMs: 1000, now });
      for (let wait = 0; wait < turn; wait += 1) await new Promise(setImmediate);
      used.add('aa');
      await using partial = await openPartial(dir, 'aa');
      await sweeping;
      expect(existsSync(partial.path)).toBe(true);
      expect(statSync(partial.path).ino).toBe((await partial.file.stat()).ino);
    }
  });
});
