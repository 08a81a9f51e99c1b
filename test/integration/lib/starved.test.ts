import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ways = ['runPlugin', 'tryProgram', 'startHelper', 'runConfined', 'filterConfined'];

it.each([0, 1])('out of descriptors, but for %i, a start of a program fails with the system’s error, and the daemon lives on', (left) => {
  const program = join(import.meta.dirname, 'starved.ts');
  const { stdout, stderr, status } = spawnSync('prlimit', ['--nofile=60', process.execPath, program, String(left)], { encoding: 'utf8' });
  expect([stderr, status]).toEqual(['', 0]);
  expect(stdout.replaceAll(/: .*EMFILE.*/g, ': EMFILE')).toBe(ways.map((way) => `${way}: EMFILE\n`).join(''));
});
