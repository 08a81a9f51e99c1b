import { expect, test } from 'vitest';
import { quoted } from '../../../src/images/quoted.ts';

test('hostile text is printable, quoted and short', () => {
  expect(quoted('disk/a b')).toBe('"disk/a b"');
  expect(quoted('a"\\\n\u001b\u00e9\u202e')).toBe(String.raw`"a\"\\????"`);
  expect(quoted('x'.repeat(100))).toBe(`"${'x'.repeat(100)}"`);
  expect(quoted('x'.repeat(101))).toBe(`"${'x'.repeat(97)}..."`);
});
