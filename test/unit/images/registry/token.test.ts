import { describe, expect, test } from 'vitest';
import { parseToken, pullScope, tokenRequest, type TokenWish } from '../../../../src/images/registry/token.ts';

const registry = new URL('https://registry.example/v2');

function wish(params: Readonly<Record<string, string>>, credentials?: TokenWish['credentials']): TokenWish {
  return { challenge: { scheme: 'bearer', params: new Map(Object.entries(params)) }, registry, repository: 'library/x', credentials };
}

describe('the request for a token', () => {
  test('of anybody, and of a user', () => {
    const params = { realm: 'https://auth.example/token?account=a', service: 'registry.example' };
    const { method, url, authorization } = tokenRequest(wish(params));
    expect([method, url.href, authorization]).toEqual([
      'GET',
      'https://auth.example/token?account=a&service=registry.example&scope=repository%3Alibrary%2Fx%3Apull&client_id=vmlet',
      undefined,
    ]);
    expect(tokenRequest(wish(params, { kind: 'basic', username: 'a', password: 'b' })).authorization).toBe('Basic YTpi');
  });

  test('with a refresh token is a form', () => {
    const {
      method,
      url,
      body = '',
      headers,
      authorization,
    } = tokenRequest(wish({ realm: 'https://auth.example/token' }, { kind: 'refresh-token', token: 'a&b' }));
    expect([method, url.href, authorization]).toEqual(['POST', 'https://auth.example/token', undefined]);
    expect(headers?.['content-type']).toBe('application/x-www-form-urlencoded');
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'a&b',
      scope: 'repository:library/x:pull',
      client_id: 'vmlet',
    });
  });

  test.each([
    [{}],
    [{ realm: '' }],
    [{ realm: 'http://auth.example/' }],
    [{ realm: 'ftp://auth.example/' }],
    [{ realm: 'https://a:b@c/' }],
  ])('is not made for %j', (params) => {
    expect(() => tokenRequest(wish(params))).toThrow(expect.objectContaining({ kind: 'auth' }));
  });
});

test.each([
  [undefined, 'repository:library/x:pull'],
  ['repository:library/x:pull', 'repository:library/x:pull'],
  ['repository:library/x:pull,push', 'repository:library/x:pull'],
  ['repository:cache/library/x:pull', 'repository:cache/library/x:pull'],
  ['repository:other:pull', 'repository:library/x:pull'],
  ['repository:evillibrary/x:pull', 'repository:library/x:pull'],
  ['registry:catalog:*', 'repository:library/x:pull'],
  ['repository:a/library/x:pull repository:b:push', 'repository:library/x:pull'],
])('the scope for the challenge %s is %s', (challenged, scope) => {
  expect(pullScope(challenged, 'library/x')).toBe(scope);
});

test.each([
  ['{"token":"a"}', { value: 'a', lifetimeMs: 60_000 }],
  ['{"access_token":"a","expires_in":300}', { value: 'a', lifetimeMs: 300_000 }],
  ['{"token":"a","access_token":"b","expires_in":5}', { value: 'a', lifetimeMs: 60_000 }],
  ['{"token":"","access_token":"b","expires_in":"300"}', { value: 'b', lifetimeMs: 60_000 }],
  ['{"token":"a","expires_in":1e300}', { value: 'a', lifetimeMs: 86_400_000 }],
  ['{"token":"a\\r\\nX: y"}', undefined],
  ['{"token":1}', undefined],
  ['{}', undefined],
  ['[]', undefined],
  ['', undefined],
])('a token server’s %s', (text, expected) => {
  expect(parseToken(Buffer.from(text))).toEqual(expected);
});
