import { describe, expect, test } from 'vitest';
import { areFor, areNamedFor, credentialsOf } from '../../../../src/images/registry/credentials.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('credentials', () => {
  test('in all forms, the most specific first', () => {
    const pair = { username: 'user', password: 'pa:ss' };
    const basic = { kind: 'basic', ...pair };
    expect(credentialsOf({ ...pair, auth: base64('a:b'), identityToken: 'i', registryToken: 'r' })).toEqual({ kind: 'bearer', token: 'r' });
    expect(credentialsOf({ ...pair, auth: base64('a:b'), identityToken: 'i' })).toEqual({ kind: 'refresh-token', token: 'i' });
    expect(credentialsOf({ ...pair, auth: base64('a:b') })).toEqual(basic);
    expect(credentialsOf({ auth: base64('user:pa:ss') })).toEqual(basic);
    expect(credentialsOf({ auth: base64('user:pa:ss\0\0') })).toEqual(basic);
    expect(credentialsOf({ username: 'user' })).toEqual({ kind: 'basic', username: 'user', password: '' });
  });

  test('that are none', () => {
    for (const auth of [undefined, {}, { username: '', password: '', auth: '', identityToken: '' }, { serverAddress: 'x' }]) {
      expect(credentialsOf(auth)).toBeUndefined();
    }
  });

  test.each([{ auth: base64('secret') }, { auth: 'secret:x' }, { auth: base64(':secret') }, { registryToken: 'se cret' }])(
    'that cannot be sent are refused without being shown',
    (auth) => {
      expect(() => credentialsOf(auth)).toThrow(
        expect.objectContaining({ facts: expect.objectContaining({ code: 'INVALID' }), message: expect.not.stringMatching(/cret|c2Vj/) }),
      );
    },
  );

  test('go where they belong', () => {
    expect(areFor({}, 'registry.example')).toBe(true);
    expect(areFor({ serverAddress: 'https://registry.example/v2/' }, 'registry.example')).toBe(true);
    expect(areFor({ serverAddress: 'https://index.docker.io/v1/' }, 'docker.io')).toBe(true);
    expect(areFor({ serverAddress: 'other.example' }, 'registry.example')).toBe(false);
    expect(areFor({ serverAddress: 'registry.example' }, 'registry.example:5000')).toBe(false);
    expect(areNamedFor({}, 'mirror.example')).toBe(false);
    expect(areNamedFor({ serverAddress: 'mirror.example' }, 'mirror.example')).toBe(true);
  });
});
