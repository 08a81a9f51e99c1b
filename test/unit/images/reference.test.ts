import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatReference, keyOf, parseReference, spellingsOf } from '../../../src/images/reference.ts';
import { hasCode } from '../../../src/model/errors.ts';

const hex64 = 'ab'.repeat(32);
const digest = `sha256:${hex64}`;

describe('references that are read', () => {
  test.each([
    ['cirros', { name: 'cirros' }],
    ['cirros:0.6', { name: 'cirros', tag: '0.6' }],
    ['vm.example/fedora/server:41', { name: 'vm.example/fedora/server', tag: '41' }],
    ['localhost/a', { name: 'localhost/a' }],
    ['localhost:5000/a', { name: 'localhost:5000/a' }],
    ['localhost:5000/a:b', { name: 'localhost:5000/a', tag: 'b' }],
    ['10.0.0.1:80/a', { name: '10.0.0.1:80/a' }],
    ['[::1]:80/a:b', { name: '[::1]:80/a', tag: 'b' }],
    ['Host.Example/a__b--c.d', { name: 'Host.Example/a__b--c.d' }],
    [`a@${digest}`, { name: 'a', digest }],
    [`a:b@${digest}`, { name: 'a', tag: 'b', digest }],
  ])('%s', (text, expected) => {
    expect(parseReference(text)).toEqual(expected);
    expect(formatReference(parseReference(text))).toBe(text);
  });
});

describe('references that are refused, with the part that is wrong', () => {
  test.each([
    ['', /is empty/],
    [':tag', /name is missing/],
    ['a:', /tag must be/],
    ['a:.b', /tag must be/],
    [`a:${'t'.repeat(129)}`, /tag must be/],
    ['Cirros', /"Cirros" must be lowercase/],
    ['a//b', /"" must be lowercase/],
    ['/a', /"" must be lowercase/],
    ['a/../b', /"\.\." must be lowercase/],
    ['a/.b', /"\.b" must be/],
    ['a___b', /must be lowercase/],
    ['http://host/a', /must be lowercase|not a host name|port/],
    ['-host.example/a', /not a host name/],
    ['host.example:0/a', /port must be/],
    ['host.example:99999/a', /port must be/],
    ['host.example:x/a', /not a host name/],
    ['a@sha256:12', /digest after @/],
    ['a@sha512:ab', /digest after @/],
    [`a@${digest}@${digest}`, /digest after @/],
    [digest, /form of an image id/],
    [hex64, /form of an image id/],
    ['a b', /must be lowercase/],
    ['a?x=1', /must be lowercase/],
    [`${'a/'.repeat(140)}a`, /longer than 255/],
    ['a'.repeat(1_000), /too long/],
  ])('%.40s', (text, message) => {
    expect(() => parseReference(text)).toThrow(message);
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ facts: { code: 'INVALID', field: 'image' } }));
  });
});

test('any text is read or refused as INVALID; what is read is written back as it was', () => {
  const piece = fc.constantFrom('a', 'B', '0', '.', '_', '-', '/', ':', '@', '[', ']', 'localhost', digest, 'x'.repeat(60));
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
  );
  fc.assert(
    fc.property(text, (each) => {
      try {
        expect(formatReference(parseReference(each))).toBe(each);
      } catch (error) {
        if (!hasCode(error, 'INVALID')) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});

test('whatever the grammar makes is read with the same parts', () => {
  const part = fc.stringMatching(/^[a-z0-9]{1,8}((\.|_|__|-{1,2})[a-z0-9]{1,5}){0,2}$/);
  const host = fc.option(fc.stringMatching(/^[a-zA-Z0-9]{1,8}\.[a-z]{2,5}(:[1-9][0-9]{0,3})?$/), { nil: undefined });
  const tag = fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/), { nil: undefined });
  const parts = fc.record({ host, path: fc.array(part, { minLength: 1, maxLength: 4 }), tag, pinned: fc.boolean() });
  fc.assert(
    fc.property(parts, ({ host: where, path, tag: label, pinned }) => {
      const name = [...(where === undefined ? [] : [where]), ...path].join('/');
      fc.pre(name !== 'sha256');
      const text = `${name}${label === undefined ? '' : `:${label}`}${pinned ? `@${digest}` : ''}`;
      expect(parseReference(text)).toEqual({
        name,
        ...(label === undefined ? {} : { tag: label }),
        ...(pinned ? { digest } : {}),
      });
    }),
  );
});

test('without a tag the key is :latest; with a digest the tag is no part of it', () => {
  expect(keyOf(parseReference('a'))).toBe('a:latest');
  expect(keyOf(parseReference('a:b'))).toBe('a:b');
  expect(keyOf(parseReference(`a:b@${digest}`))).toBe(`a@${digest}`);
});

test('a configuration may leave out the default tag, and no other', () => {
  expect(spellingsOf(parseReference('a'))).toEqual(['a', 'a:latest']);
  expect(spellingsOf(parseReference('a:latest'))).toEqual(['a', 'a:latest']);
  expect(spellingsOf(parseReference('a:1'))).toEqual(['a:1']);
});
