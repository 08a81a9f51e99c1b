import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { repeatedKey } from '../../../../src/images/signature/json-keys.ts';
import { parsePayload, payloadProblem } from '../../../../src/images/signature/payload.ts';
import { cosignPayload } from '../../../lib/signing.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const sound = cosignPayload(digest).toString();

describe('a payload', () => {
  test('as cosign writes it', () => {
    expect(parsePayload(cosignPayload(digest))).toEqual({ digest, reference: 'registry.example/disks/debian' });
    const optional = { creator: 'cosign', timestamp: 1, nested: { type: 'x', critical: {} } };
    expect(parsePayload(cosignPayload(digest, 'r', { optional }))).toEqual({ digest, reference: 'r' });
  });

  test.each<[string, string, RegExp]>([
    ['nothing', '', /it is not JSON/],
    ['no UTF-8', 'latin', /it is not JSON/],
    ['cut short', sound.slice(0, -1), /it is not JSON/],
    ['another type', sound.replace('cosign container image', 'atomic container'), /not in cosign's form.*critical/],
    ['a key in capitals', sound.replace('"critical"', '"Critical"'), /not in cosign's form/],
    ['an unknown key', sound.replace('"optional":null', '"optional":null,"more":1'), /not in cosign's form/],
    ['an unknown key in critical', sound.replace('"type":', '"more":1,"type":'), /not in cosign's form/],
    ['no identity', sound.replace(/"identity":\{[^}]*\},/, ''), /not in cosign's form/],
    ['a list', '[]', /not in cosign's form/],
    [
      'the digest twice',
      sound.replace('"image":{', '"image":{"docker-manifest-digest":"sha256:0",'),
      /a key twice: "docker-manifest-digest"/,
    ],
    ['critical twice, once escaped', sound.replace('{"critical"', '{"\\u0063ritical":{},"critical"'), /a key twice: "critical"/],
  ])('%s: refused', (what, text, problem) => {
    expect(parsePayload(what === 'no UTF-8' ? Buffer.from([0x22, 0xff, 0x22]) : Buffer.from(text))).toMatch(problem);
  });

  test('messages quote little and only printable characters', () => {
    const problem = parsePayload(Buffer.from(sound.replace('{"critical"', `{"${'\\u001b'.repeat(1000)}":1,"critical"`)));
    expect(problem).toMatch(/^[\x20-\x7e]{1,200}$/);
    expect(payloadProblem({ digest: '\u{1b}[2J'.repeat(99), reference: '' }, { digest, repositoryName: 'x' }, 'any')).toMatch(
      /^[\x20-\x7e]{1,250}$/,
    );
  });

  test('64 KiB of nesting, of one string and of keys is judged', () => {
    const size = 2 ** 16;
    expect(parsePayload(Buffer.from('['.repeat(size / 2) + ']'.repeat(size / 2)))).toMatch(/not in cosign's form/);
    expect(parsePayload(Buffer.from('[{"a":'.repeat(size / 8) + '1' + '}]'.repeat(size / 8)))).toMatch(/not in cosign's form/);
    expect(parsePayload(Buffer.from(`"${'\\n'.repeat(size / 2)}"`))).toMatch(/not in cosign's form/);
    const keys = Array.from({ length: size / 16 }, (_, index) => `"${index}":1`).join(',');
    expect(parsePayload(Buffer.from(`{${keys}}`))).toMatch(/not in cosign's form/);
  });
});

describe('repeated keys', () => {
  test('none in what JSON.stringify writes, whatever it is', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(repeatedKey(JSON.stringify(JSON.parse(text)))).toBeUndefined();
      }),
    );
  });

  test('found wherever they are', () => {
    fc.assert(
      fc.property(fc.string(), fc.json(), fc.json(), (key, one, other) => {
        const name = JSON.stringify(key);
        expect(repeatedKey(`[{"a":{${name}:${one},${JSON.stringify(`${key}x`)}:${other}, ${name} : 1}}]`)).toBeDefined();
      }),
    );
  });

  test('not between objects', () => {
    expect(repeatedKey('{"a":{"a":[{"a":":"},{"a":"a"}]},"b":"a\\":\\"a"}')).toBeUndefined();
  });
});

describe('what the signer meant', () => {
  const image = { digest, repositoryName: 'registry.example/disks/debian' };

  test('another digest counts for nothing', () => {
    const other = `sha256:${'b'.repeat(64)}`;
    expect(payloadProblem({ digest: other, reference: image.repositoryName }, image, 'any')).toBe(
      `is for the digest "${other}", not for ${digest}`,
    );
  });

  test('the name counts only where it is asked for', () => {
    expect(payloadProblem({ digest, reference: 'mirror.example/x' }, image, 'any')).toBeUndefined();
    expect(payloadProblem({ digest, reference: 'mirror.example/x' }, image, 'repository')).toMatch(
      /is for "mirror.example\/x", not for the repository/,
    );
    expect(payloadProblem({ digest, reference: '' }, image, 'repository')).toMatch(/is for "", not/);
  });

  test.each(['', ':12', `@${digest}`, `:12@${digest}`])('tag and digest in the name do not count: %s', (rest) => {
    expect(payloadProblem({ digest, reference: `Registry.example:443/disks/debian${rest}` }, image, 'repository')).toBeUndefined();
  });
});
