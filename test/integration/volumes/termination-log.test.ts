import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeTerminationMessage } from '../../../src/volumes/termination-log.ts';
import { tempDir } from '../../lib/temp.ts';

describe('a termination message', () => {
  it('replaces what the file holds, and is cut at 4 KiB', async () => {
    const file = join(tempDir(), 'log');
    writeFileSync(file, 'something much longer than the message', { mode: 0o666 });
    await writeTerminationMessage(file, 'no database');
    expect(readFileSync(file, 'utf8')).toBe('no database');
    await writeTerminationMessage(file, 'x'.repeat(10_000));
    expect(readFileSync(file, 'utf8')).toBe('x'.repeat(4_096));
  });

  it.each<[string, (file: string, victim: string) => void]>([
    ['a link', (file, victim) => symlinkSync(victim, file)],
    ['a file with a second name', (file, victim) => linkSync(victim, file)],
    ['a FIFO', (file) => void execFileSync('mkfifo', [file])],
    ['a directory', (file) => mkdirSync(file)],
    ['nothing', () => undefined],
  ])('is not written to %s', async (_what, make) => {
    const dir = tempDir();
    const victim = join(dir, 'victim');
    writeFileSync(victim, 'precious');
    make(join(dir, 'log'), victim);
    await expect(writeTerminationMessage(join(dir, 'log'), 'x')).rejects.toMatchObject({
      facts: { code: 'INVALID', field: 'terminationMessagePath' },
    });
    expect(readFileSync(victim, 'utf8')).toBe('precious');
  });
});
