import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isErrno, messageOf } from '../../../src/lib/errno.ts';
import { randomId, uuidFromId } from '../../../src/lib/ids.ts';
import { parseBytes } from '../../../src/lib/quantity.ts';
import { vmletVersion } from '../../../src/lib/version.ts';

describe('ids', () => {
  it('are 64 lowercase hexadecimal digits, each time others', () => {
    const ids = Array.from({ length: 100 }, randomId);
    expect(ids.filter((id) => !/^[0-9a-f]{64}$/.test(id))).toEqual([]);
    expect(new Set(ids).size).toBe(100);
  });

  it('give a version 4 UUID, the same each time', () => {
    expect(uuidFromId('f'.repeat(64))).toBe('ffffffff-ffff-4fff-bfff-ffffffffffff');
    expect(uuidFromId('0'.repeat(64))).toBe('00000000-0000-4000-8000-000000000000');
    expect(uuidFromId(`0123456789abcdef0123456789abcdef${'0'.repeat(32)}`)).toBe('01234567-89ab-4def-8123-456789abcdef');
  });

  it.each(['', 'abc', 'g'.repeat(64), `${'a'.repeat(31)}g${'a'.repeat(32)}`])('refuse %j', (id) => {
    expect(() => uuidFromId(id)).toThrow(TypeError);
  });
});

describe('errno', () => {
  it('knows system errors by their codes', () => {
    const error = thrownBy(() => readFileSync('/no/such/file'));
    expect([isErrno(error, 'ENOENT'), isErrno(error, 'EPERM', 'ENOENT'), isErrno(error, 'EPERM'), isErrno(error)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it.each([undefined, null, 'ENOENT', { code: 'ENOENT' }, new Error('ENOENT'), Object.assign(new Error('x'), { code: 5 })])(
    'does not take %j for one',
    (error) => expect(isErrno(error, 'ENOENT', '5')).toBe(false),
  );

  it('quotes whatever was thrown', () => {
    expect([new Error('a'), 'b', 3, undefined, null].map(messageOf)).toEqual(['a', 'b', '3', 'undefined', 'null']);
  });
});

describe('quantities', () => {
  it.each([
    ['0', 0],
    ['1073741824', 2 ** 30],
    ['500M', 5e8],
    ['7k', 7_000],
    ['3G', 3e9],
    ['2T', 2e12],
    ['1P', 1e15],
    ['1Ki', 1_024],
    ['10Gi', 10 * 2 ** 30],
    ['1Ti', 2 ** 40],
    ['7Pi', 7 * 2 ** 50],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%s is %d bytes', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  it.each([
    '',
    ' 1',
    '1 ',
    '1\n',
    '-1',
    '1.5Gi',
    '1e3',
    '1K',
    '1kB',
    '1GiB',
    '1gi',
    'Gi',
    '0x10',
    '٣',
    '9007199254740992',
    '8Pi',
    '1E',
    '1Ei',
  ])('refuses %j', (text) => expect(parseBytes(text)).toBeUndefined());

  it('is exact or refuses, for every number and unit', () => {
    const powers: Readonly<Record<string, bigint>> = {
      '': 1n,
      k: 1_000n,
      M: 10n ** 6n,
      G: 10n ** 9n,
      Ki: 2n ** 10n,
      Mi: 2n ** 20n,
      Gi: 2n ** 30n,
    };
    fc.assert(
      fc.property(fc.bigInt(0n, 10n ** 16n - 1n), fc.constantFrom(...Object.keys(powers)), (count, unit) => {
        const exact = count * (powers[unit] ?? 1n);
        const bytes = parseBytes(`${count}${unit}`);
        expect(bytes === undefined ? exact > 2n ** 53n - 1n : BigInt(bytes) === exact).toBe(true);
      }),
    );
  });
});

it("the version is the package's", () => {
  expect(JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))).toMatchObject({ version: vmletVersion });
});

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
