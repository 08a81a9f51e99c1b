import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { removeDurably, syncDirectory, writeDurably } from '../../../src/lib/durable-file.ts';
import { placeFile } from '../../../src/lib/place-file.ts';
import { tempDir } from '../../lib/temp.ts';

describe('a durable file', () => {
  it('is written, replaced and removed', async () => {
    const file = join(tempDir(), 'record.json');
    await writeDurably(file, 'one');
    expect([readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual(['one', 0o600]);
    await writeDurably(file, new Uint8Array([0, 255, 10]));
    expect([...readFileSync(file)]).toEqual([0, 255, 10]);
    await removeDurably(file);
    expect(existsSync(file)).toBe(false);
    await removeDurably(file);
  });

  it('replaces the whole file: who has the old one open reads on in it', async () => {
    const file = join(tempDir(), 'record.json');
    await writeDurably(file, 'old');
    const { ino } = statSync(file);
    await writeDurably(file, 'new');
    expect(statSync(file).ino).not.toBe(ino);
  });

  it('has the asked mode, whatever a crash has left behind', async () => {
    const file = join(tempDir(), 'secret');
    writeFileSync(`${file}.new`, 'longer than what is written now', { mode: 0o644 });
    await writeDurably(file, 'token');
    expect([readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual(['token', 0o600]);
    await writeDurably(file, 'public', 0o644);
    expect(statSync(file).mode & 0o777).toBe(0o644);
  });

  it('that cannot be written stays as it was, with no temporary file', async () => {
    const dir = tempDir();
    const occupied = join(dir, 'occupied');
    mkdirSync(join(occupied, 'inside'), { recursive: true });
    await expect(writeDurably(occupied, 'x')).rejects.toMatchObject({ code: 'EISDIR' });
    expect(readdirSync(dir)).toEqual(['occupied']);
    expect(readdirSync(occupied)).toEqual(['inside']);
    await expect(writeDurably(join(dir, 'absent', 'file'), 'x')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(syncDirectory(join(dir, 'absent'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('placeFile', () => {
  it('replaces what is there, private and owned by whom it is for', async () => {
    const dir = tempDir();
    const [temporary, path] = [join(dir, 'seed.part'), join(dir, 'seed.iso')];
    writeFileSync(path, 'old', { mode: 0o644 });
    writeFileSync(temporary, 'new', { mode: 0o666 });
    const owner = process.getuid?.() === 0 ? { uid: 61_234, gid: 61_235 } : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    await placeFile(temporary, path, owner);
    const { mode, uid, gid } = statSync(path);
    expect({ mode: mode & 0o777, uid, gid }).toEqual({ mode: 0o600, ...owner });
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(readdirSync(dir)).toEqual(['seed.iso']);
  });

  it('leaves the old file when there is no new one', async () => {
    const path = join(tempDir(), 'seed.iso');
    writeFileSync(path, 'old');
    await expect(placeFile(`${path}.part`, path, { uid: 0, gid: 0 })).rejects.toMatchObject({ code: 'ENOENT' });
    expect(readFileSync(path, 'utf8')).toBe('old');
  });
});
