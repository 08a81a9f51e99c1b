import { describe, expect, test } from 'vitest';
import { plainTransport } from '../../../../src/images/http/transport.ts';
import { parseReference } from '../../../../src/images/reference.ts';
import { makeOrigins } from '../../../../src/images/sources/source-map.ts';

const digest = `sha256:${'ab'.repeat(32)}`;
const originOf = makeOrigins({
  mappings: [
    {
      from: 'images.sources',
      sources: [{ name: 'virtlet.cloud/disks.example/mapped', url: 'https://else.example/m', format: 'raw' }],
      transports: new Map(),
    },
  ],
  urlHosts: ['disks.example', 'ported.example:8443', 'http://plain.example', 'http://both.example:8080'],
  transport: plainTransport,
});

test.each([
  ['virtlet.cloud/disks.example/a/b.qcow2', 'https://disks.example/a/b.qcow2', 'none'],
  ['virtlet.cloud/disks.example/a:latest', 'https://disks.example/a', 'none'],
  [`virtlet.cloud/disks.example/a:v1@${digest}`, 'https://disks.example/a', 'none'],
  ['virtlet.cloud/ported.example/a.gz', 'https://ported.example:8443/a.gz', 'gzip'],
  ['virtlet.cloud/plain.example/a', 'http://plain.example/a', 'none'],
  ['virtlet.cloud/both.example/a', 'http://both.example:8080/a', 'none'],
])('%s is at %s', (name, url, compression) => {
  const reference = parseReference(name);
  expect(originOf(reference)).toEqual({
    kind: 'http',
    url: new URL(url),
    isConfigured: false,
    transport: plainTransport,
    format: 'qcow2',
    compression,
    digest: reference.digest,
  });
});

test('a mapping comes before', () => {
  expect(originOf(parseReference('virtlet.cloud/disks.example/mapped'))).toMatchObject({ url: new URL('https://else.example/m') });
});

describe('is refused', () => {
  test.each([
    ['virtlet.cloud/other.example/a', /"other\.example" is not in images\.urlHosts/],
    ['virtlet.cloud/127.0.0.1/a', /not in images\.urlHosts/],
    ['virtlet.cloud/disks.example.evil/a', /not in images\.urlHosts/],
    ['virtlet.cloud/cirros', /no line of images\.sources maps it, and "cirros" is not in images\.urlHosts/],
    ['virtlet.cloud/disks.example', /names a host and no path/],
    ['virtlet.cloud/disks.example/a:v1', /a tag has no meaning .* leave :v1 out/],
  ])('%s', (name, message) => {
    expect(() => originOf(parseReference(name))).toThrow(
      expect.objectContaining({ facts: { code: 'INVALID', field: 'image' }, message: expect.stringMatching(message) }),
    );
  });
});

test('other hosts are registries', () => {
  for (const name of ['disks.example/a', 'virtlet.cloud.example/a', 'virtlet.cloud:443/a'])
    expect(originOf(parseReference(name))).toEqual({ kind: 'registry', reference: parseReference(name) });
});
