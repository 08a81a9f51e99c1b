import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parsePax } from '../../../../src/images/layer/tar-pax.ts';
import { expectReadOrRefused, expectRefusal } from '../../../lib/refusal.ts';
import { paxEntry } from '../../../lib/tar.ts';

const payloadOf = (records: Record<string, string>): Uint8Array => paxEntry(records).content ?? Buffer.alloc(0);
const parse = (records: Record<string, string>, scope: 'member' | 'global' = 'member') => parsePax(payloadOf(records), scope);

describe('an extended header', () => {
  test('gives name and size', () => {
    expect(parse({ path: 'disk/a', size: '12345', mtime: '1.5' })).toEqual({ name: 'disk/a', sizeBytes: 12_345 });
  });

  test('may say what does not matter', () => {
    expect(parse({ atime: '1', uid: '3', 'SCHILY.xattr.user.a': 'b', 'LIBARCHIVE.creationtime': '7', comment: '' })).toEqual({});
    expect(parse({ comment: '52cd', mtime: '7' }, 'global')).toEqual({});
    expect(parsePax(Buffer.alloc(0), 'member')).toEqual({});
  });

  test('has records of any length', () => {
    for (const length of [1, 89, 90, 91, 988, 989, 990, 9_980, 9_990]) {
      expect(parse({ comment: 'c'.repeat(length), size: '5' })).toEqual({ sizeBytes: 5 });
    }
  });
});

describe('what is refused', () => {
  test('a sparse file', () => {
    for (const keyword of ['GNU.sparse.major', 'GNU.sparse.realsize', 'SCHILY.realsize', 'SUN.holesdata']) {
      expectRefusal(() => parse({ [keyword]: '1' }), 'tar-entry', /sparse file/);
    }
  });

  test('a size or a name that cannot be', () => {
    for (const size of ['', '-1', '1e3', '0x10', ' 7', '1.5', '12345678901234567890']) {
      expectRefusal(() => parse({ size }), 'tar-header', /size/);
    }
    expectRefusal(() => parse({ size: '9223372036854775807' }), 'disk-size', /impossible/);
    expectRefusal(() => parse({ path: '' }), 'tar-header', /name/);
    expectRefusal(() => parse({ path: 'disk/a\0b' }), 'tar-header', /name/);
  });

  test('keywords that are not known, or said of all members', () => {
    expectRefusal(() => parse({ pathh: 'x' }), 'tar-header', /"pathh", which is not known/);
    for (const keyword of ['path', 'size']) expectRefusal(() => parse({ [keyword]: '1' }, 'global'), 'tar-header', /global/);
  });

  test('records that are cut or miscounted', () => {
    for (const text of ['9 a=b\n', '6 a=b', '7 a=b\n', '5 a=b\n', '7 gid=\n7', '06 a=b\n', 'x', '0 a=b\n', '6 =bc\n', '99999999 a=b\n']) {
      expectRefusal(() => parsePax(Buffer.from(text), 'member'), 'tar-header', /record/);
    }
  });
});

test('any payload is read or refused', () => {
  const alphabet = fc.constantFrom(...Array.from('0123456789 =\npathsize.GNU\0'));
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 2_000 }),
    fc.array(alphabet, { maxLength: 300 }).map((text) => Buffer.from(text.join(''))),
  );
  fc.assert(
    fc.property(payload, (bytes) => {
      expectReadOrRefused(() => parsePax(bytes, 'member'));
    }),
    { numRuns: 1_000 },
  );
});
