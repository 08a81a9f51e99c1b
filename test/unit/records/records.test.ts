import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openRecords, type Records } from '../../../src/records/records.ts';
import { tempDir } from '../../lib/temp.ts';

interface Note {
  readonly text: string;
  readonly at: bigint;
}

function parse(value: unknown): Note {
  if (typeof value !== 'object' || value === null || !('text' in value) || !('at' in value)) throw new Error('not a note');
  return { text: String(value.text), at: BigInt(String(value.at)) };
}

const open = async (dir: string): Promise<Records<Note>> => openRecords({ dir, version: 2, parse });

describe('records', () => {
  it('keep what was put, big integers too, across a start', async () => {
    const dir = join(tempDir(), 'notes');
    const first = await open(dir);
    await first.put('a', { text: 'one', at: 2n ** 63n });
    await first.put('b', { text: 'two', at: 1n });
    await first.remove('b');
    await first.remove('never');
    const second = await open(dir);
    expect([...second.all()]).toEqual([['a', { text: 'one', at: 2n ** 63n }]]);
    expect(second.get('a')?.text).toBe('one');
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(statSync(join(dir, 'a.json')).mode & 0o777).toBe(0o600);
  });

  it('tell of each file they read, when they are opened and never after', async () => {
    const dir = tempDir();
    const first = await open(dir);
    await first.put('a', { text: 'one', at: 1n });
    await first.put('b', { text: 'two', at: 2n });
    writeFileSync(join(dir, 'bad.json'), 'not json');
    writeFileSync(join(dir, 'c.json.new'), 'half');
    let reads = 0;
    const second = await openRecords({ dir, version: 2, parse, onRead: () => void (reads += 1) });
    expect(reads).toBe(3);
    await second.put('d', { text: 'four', at: 4n });
    expect([second.get('a')?.text, second.all().size]).toEqual(['one', 3]);
    await second.remove('a');
    expect(reads).toBe(3);
  });

  it('write one id in the order that was asked for', async () => {
    const dir = tempDir();
    const records = await open(dir);
    await Promise.all(Array.from({ length: 30 }, async (_, n) => records.put('a', { text: String(n), at: 0n })));
    expect(records.get('a')?.text).toBe('29');
    expect((await open(dir)).get('a')?.text).toBe('29');
    expect(readdirSync(dir)).toEqual(['a.json']);
  });

  it.each([
    ['garbage', 'not json'],
    ['a cut off file', '{"schema":2,"record":{"te'],
    ['a newer schema', '{"schema":3,"record":{"text":"x","at":"1"}}'],
    ['no envelope', '{"text":"x"}'],
    ['another shape', '{"schema":2,"record":{"nothing":1}}'],
  ])('name %s as unreadable and leave the file alone', async (_name, text) => {
    const dir = tempDir();
    writeFileSync(join(dir, 'bad.json'), text);
    const records = await open(dir);
    const file = join(dir, 'bad.json');
    const changedAtNs = statSync(file, { bigint: true }).mtimeNs;
    expect(records.unreadable).toEqual([{ id: 'bad', file, problem: expect.any(String), changedAtNs }]);
    expect(readFileSync(join(dir, 'bad.json'), 'utf8')).toBe(text);
    expect(records.all().size).toBe(0);
  });

  it('drop a write that a crash cut short: its record was never shown', async () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'a.json.new'), 'half');
    expect((await open(dir)).unreadable).toEqual([]);
    expect(existsSync(join(dir, 'a.json.new'))).toBe(false);
  });

  it('change nothing when the write fails', async () => {
    const dir = tempDir();
    const records = await open(dir);
    await records.put('a', { text: 'old', at: 0n });
    mkdirSync(join(dir, 'a.json.new')); // the temporary name is taken by a directory: the write cannot even begin
    await expect(records.put('a', { text: 'new', at: 0n })).rejects.toThrow(/EISDIR|ERR_FS_EISDIR/);
    expect(records.get('a')?.text).toBe('old');
  });

  it('refuse an id that could leave the directory', async () => {
    const records = await open(tempDir());
    await expect(records.put('../x', { text: '', at: 0n })).rejects.toThrow(/not a record id/);
  });
});
