import { describe, expect, test } from 'vitest';
import { parseHostsFile } from '../../../../src/images/registry/hosts-toml.ts';
import { parseGoDuration, parseHostUrl } from '../../../../src/images/registry/host-values.ts';

const file = '/etc/vmlet/certs.d/registry.example/hosts.toml';

describe('a hosts.toml', () => {
  test('with everything', () => {
    const { mirrors, server } = parseHostsFile(
      `server = "https://registry.example:5000"
       ca = "ca.crt"
       [host."https://second.example/path"]
         capabilities = ["pull"]
         skip_verify = true
         dial_timeout = "1m30s"
         [host."https://second.example/path".header]
           X-One = "1"
           X-Many = ["a", "b"]
       [host."http://first.example"]
         capabilities = ["pull", "resolve", "push"]
         ca = ["a.pem", "/b.pem"]
         client = [["c.cert", "c.key"], "both.pem", ["one.pem"]]
       [host."third.example/v2/cache"]
         override_path = true
         client = "both.pem"`,
      file,
    );
    expect(server).toMatchObject({ canPull: true, canResolve: true, caFiles: ['ca.crt'], skipVerify: false });
    expect([...mirrors, server].map(({ url }) => url?.href)).toEqual([
      'https://second.example/path/v2',
      'http://first.example/v2',
      'https://third.example/v2/cache',
      'https://registry.example:5000/v2',
    ]);
    const [second, first, third] = mirrors;
    expect(second).toMatchObject({ canPull: true, canResolve: false, skipVerify: true, connectTimeoutMs: 90_000 });
    expect(second?.headers).toEqual({ 'x-one': '1', 'x-many': 'a, b' });
    expect(first).toMatchObject({ canResolve: true, caFiles: ['a.pem', '/b.pem'], connectTimeoutMs: undefined });
    expect(first?.clientFiles).toEqual([
      { cert: 'c.cert', key: 'c.key' },
      { cert: 'both.pem', key: 'both.pem' },
      { cert: 'one.pem', key: 'one.pem' },
    ]);
    expect(third?.clientFiles).toEqual([{ cert: 'both.pem', key: 'both.pem' }]);
  });

  test('with mirrors alone, or with nothing', () => {
    expect(parseHostsFile('[host."https://m.example"]', file).server.url).toBeUndefined();
    expect(parseHostsFile('server = ""', file).server.url).toBeUndefined();
    expect(parseHostsFile('', file)).toMatchObject({ mirrors: [], server: { canPull: true, canResolve: true } });
  });

  test.each<[string, RegExp]>([
    ['server = ', /hosts\.toml: is no TOML at line 1, column/],
    ['serve = "x"', /: serve: is no key that this file may have$/],
    ['[host."https://m.example"]\nfoo = 1', /: host\."https:\/\/m\.example"\.foo: is no key/],
    ['[host."https://m.example"]\nca = 1', /: host\."https:\/\/m\.example"\.ca: must be a path or a list of paths$/],
    ['[host."https://m.example"]\nserver = "x"', /\.server: is no key/],
    ['host = 3', /: host: must be a table/],
    ['server = 3', /: server: must be an address in quotes$/],
    ['client = [["a", "b", "c"]]', /: client: must be a path, a list of paths, or a list of \[certificate, key\] pairs$/],
    ['capabilities = ["fly"]', /: capabilities\.0: must be a list of "pull"/],
    ['skip_verify = "yes"', /: skip_verify: must be true or false$/],
    ['server = "ftp://registry.example"', /: server: must begin with https/],
    ['[host."https://user:secret@m.example"]', /must hold no user or password/],
    ['[host."https://m.example?x"]', /must hold no \? or #/],
    ['[host.5000]', /: host\."5000": is not the address of a registry$/],
    ['dial_timeout = "5"', /: dial_timeout: must be a duration/],
    ['[header]\nRange = "bytes=0-"', /: header\."Range": is a field that vmlet sets itself$/],
    ['[header]\nX = "a\\nb"', /: header\."X": must be printable ASCII$/],
    ['[header]\n"a b" = "c"', /: header\."a b": is no name of a header field/],
    ['[header]\nX = 1', /: header\."X": must be a table of texts/],
  ])('is refused by file and key: %j', (text, message) => {
    expect(() => parseHostsFile(text, file)).toThrow(
      expect.objectContaining({ facts: { code: 'INVALID', field: file }, message: expect.stringMatching(message) }),
    );
  });
});

test.each<[string, boolean, string]>([
  ['registry.example', false, 'https://registry.example/v2'],
  ['https://registry.example/', false, 'https://registry.example/v2'],
  ['https://registry.example/v2/', false, 'https://registry.example/v2'],
  ['https://registry.example/cache/v2', false, 'https://registry.example/cache/v2'],
  ['http://10.0.0.1:5000/cache', false, 'http://10.0.0.1:5000/cache/v2'],
  ['https://registry.example/', true, 'https://registry.example/'],
  ['https://registry.example/cache/', true, 'https://registry.example/cache'],
])('the base of %s (path overridden: %s) is %s', (text, overridePath, base) => {
  expect(String(parseHostUrl(text, overridePath))).toBe(base);
});

test.each<[string, number | undefined]>([
  ['5s', 5000],
  ['1.5s', 1500],
  ['1h', 3_600_000],
  ['1m0.5s', 60_500],
  ['1000us', 1],
  ['1ns', undefined],
  ['2h', undefined],
  ['5', undefined],
  ['-5s', undefined],
  ['', undefined],
  ['5 s', undefined],
])('a duration %j', (text, expected) => {
  expect(parseGoDuration(text)).toBe(expected);
});
