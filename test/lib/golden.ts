import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';

const fixtures = join(import.meta.dirname, '..', 'fixtures');

/** Compares `actual` with `test/fixtures/<name>`; `UPDATE_GOLDEN=1` rewrites the file, to be read as a diff. */
export function expectGolden(name: string, actual: string): void {
  const file = join(fixtures, name);
  if (process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, actual);
  }
  expect(existsSync(file), `${file} is missing; UPDATE_GOLDEN=1 writes it`).toBe(true);
  expect(actual).toBe(readFileSync(file, 'utf8'));
}
