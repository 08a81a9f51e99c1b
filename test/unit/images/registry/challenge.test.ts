import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseChallenges } from '../../../../src/images/registry/challenge.ts';

function read(text: string): unknown {
  return parseChallenges(text)?.map(({ scheme, params }) => [scheme, Object.fromEntries(params)]);
}

describe('WWW-Authenticate', () => {
  test.each<[string, unknown]>([
    ['Basic realm="a"', [['basic', { realm: 'a' }]]],
    ['BASIC Realm=a', [['basic', { realm: 'a' }]]],
    [
      'Bearer realm="https://a.example/token",service="b",scope="repository:c/d:pull,push"',
      [['bearer', { realm: 'https://a.example/token', service: 'b', scope: 'repository:c/d:pull,push' }]],
    ],
    ['Bearer realm="a" ,\t service = "b"', [['bearer', { realm: 'a', service: 'b' }]]],
    ['Bearer realm="a \\"b\\" \\\\"', [['bearer', { realm: 'a "b" \\' }]]],
    [
      'Basic realm="a", Bearer realm="b", error="c"',
      [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b', error: 'c' }],
      ],
    ],
    [
      'Negotiate, Basic realm="a"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    [
      'Negotiate YWJj==, Basic realm=a',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    [
      'Basic realm="a", Negotiate',
      [
        ['basic', { realm: 'a' }],
        ['negotiate', {}],
      ],
    ],
    [', ,Basic realm="a",,', [['basic', { realm: 'a' }]]],
    ['Basic', [['basic', {}]]],
    ['', []],
  ])('%s', (text, expected) => {
    expect(read(text)).toEqual(expected);
  });

  test.each([
    'Basic realm="a',
    'Basic realm="a" service="b"',
    'Basic realm="a", realm="b"',
    'Basic realm=a b',
    'Basic realm="a\u0007"',
    'Basic realm="a"x',
    '"Basic"',
    'Basic =a',
    'Basic a b',
    'a,'.repeat(17),
    `Basic realm="${'a'.repeat(9000)}"`,
  ])('is not read: %s', (text) => {
    expect(parseChallenges(text)).toBeUndefined();
  });
});

const token = fc.stringMatching(/^[a-z][a-z0-9!#$%&'*+.^_`|~-]{0,10}$/);
const value = fc.string({ unit: fc.constantFrom('a', '"', '\\', ',', ' ', '=', '\t', '\xe9'), maxLength: 12 });
const challenge = fc.record({ scheme: token, params: fc.dictionary(token, value, { minKeys: 1, maxKeys: 4, noNullPrototype: true }) });

test('what was written by the rules is read as it was meant', () => {
  const quote = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
  fc.assert(
    fc.property(fc.array(challenge, { maxLength: 5 }), fc.constantFrom(',', ', ', ' ,\t'), (challenges, comma) => {
      const text = challenges
        .map(
          ({ scheme, params }) =>
            `${scheme} ${Object.entries(params)
              .map(([name, each]) => `${name}=${quote(each)}`)
              .join(comma)}`,
        )
        .join(comma);
      expect(read(text)).toEqual(challenges.map(({ scheme, params }) => [scheme, params]));
    }),
  );
});

test('any text is read to its end or not at all', () => {
  const texts = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('a', '"', '\\', ',', ' ', '='), maxLength: 40 }));
  fc.assert(
    fc.property(texts, (text) => {
      for (const { scheme, params } of parseChallenges(text) ?? []) {
        expect(text.toLowerCase()).toContain(scheme);
        for (const name of params.keys()) expect(text.toLowerCase()).toContain(name);
      }
    }),
    { numRuns: 2000 },
  );
});
