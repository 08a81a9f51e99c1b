import { describe, expect, test } from 'vitest';
import { plainTransport } from '../../../src/images/http/transport.ts';
import { namesFor } from '../../../src/images/names.ts';
import { parseReference } from '../../../src/images/reference.ts';
import type { RegistryLayer } from '../../../src/images/registry/registry.ts';
import type { FileOrigin, HttpOrigin } from '../../../src/images/sources/origin.ts';
import type { BlobSource } from '../../../src/images/transfer/blob-source.ts';
import { blobDigestOf, wantedOfFile, wantedOfLayers } from '../../../src/images/wanted.ts';

const source: BlobSource = { name: 'nowhere', open: async () => Promise.reject(new Error('not asked for')) };
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;

function layer(changes: Partial<RegistryLayer> = {}): RegistryLayer {
  return { digest: digest('1'), sizeBytes: 10, wrapping: { compression: 'gzip', archive: 'tar' }, format: 'qcow2', source, ...changes };
}

function httpOrigin(changes: Partial<HttpOrigin> = {}): HttpOrigin {
  const url = new URL('https://disks.example/a.qcow2');
  return {
    kind: 'http',
    url,
    isConfigured: true,
    transport: plainTransport,
    format: 'qcow2',
    compression: 'none',
    digest: undefined,
    ...changes,
  };
}

describe('what a manifest wants', () => {
  test('is its layers in order, each with the digest that it must have', () => {
    const { parts, diskDigest, origin } = wantedOfLayers({ digest: digest('f'), layers: [layer(), layer({ digest: digest('2') })] });
    expect(parts.map(({ expected }) => expected)).toEqual([
      { digest: digest('1'), sizeBytes: 10 },
      { digest: digest('2'), sizeBytes: 10 },
    ]);
    expect(parts.map(({ partialKey }) => partialKey)).toEqual(['1'.repeat(64), '2'.repeat(64)]);
    expect([diskDigest, origin]).toEqual([undefined, undefined]);
  });

  test('is the same content whatever the manifest, the registry and the order of fields', () => {
    const one = wantedOfLayers({ digest: digest('e'), layers: [layer()] });
    const other = wantedOfLayers({ digest: digest('f'), layers: [layer({ wrapping: { archive: 'tar', compression: 'gzip' } })] });
    expect(one.content).toBe(other.content);
  });

  test('is another content when anything that decides about the disk differs', () => {
    const contents = [
      layer(),
      layer({ digest: digest('2') }),
      layer({ format: 'raw' }),
      layer({ wrapping: { compression: 'none', archive: 'tar' } }),
      layer({ wrapping: { compression: 'gzip', archive: 'none' } }),
    ].map((each) => wantedOfLayers({ digest: digest('f'), layers: [each] }).content);
    expect(new Set(contents).size).toBe(contents.length);
  });
});

describe('what a mapping wants', () => {
  test('is known in advance only with a digest', () => {
    expect(wantedOfFile(httpOrigin(), source).content).toBeUndefined();
    const one = wantedOfFile(httpOrigin({ digest: digest('1') }), source);
    const elsewhere = wantedOfFile(httpOrigin({ digest: digest('1'), url: new URL('https://mirror.example/'), compression: 'xz' }), source);
    expect(one.content).toBe(elsewhere.content);
    expect(wantedOfFile(httpOrigin({ digest: digest('1'), format: 'raw' }), source).content).not.toBe(one.content);
  });

  test('keeps unfinished downloads apart by all that decides about their bytes', () => {
    const file: FileOrigin = { kind: 'file', path: '/srv/a.qcow2', format: 'qcow2', compression: 'none', digest: undefined };
    const keys = [
      httpOrigin(),
      httpOrigin({ url: new URL('https://disks.example/b.qcow2') }),
      httpOrigin({ format: 'raw' }),
      httpOrigin({ compression: 'gzip' }),
      httpOrigin({ digest: digest('1') }),
      httpOrigin({ transport: { ...plainTransport, tls: { skipVerify: true } } }),
      httpOrigin({ transport: { ...plainTransport, tls: { serverName: 'other.example' } } }),
      httpOrigin({ transport: { ...plainTransport, tls: { ca: ['PEM'] } } }),
      httpOrigin({ transport: { ...plainTransport, proxy: 'http://proxy.example:3128' } }),
      file,
    ].map((origin) => wantedOfFile(origin, source).parts[0]?.partialKey);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.every((key) => /^[0-9a-f]{64}$/.test(key ?? ''))).toBe(true);
  });

  test('of servers that are believed in the same way has one origin', () => {
    const transport = { ...plainTransport, connectTimeoutMs: 1, tls: { skipVerify: false } };
    expect(wantedOfFile(httpOrigin({ transport }), source).origin).toBe(wantedOfFile(httpOrigin(), source).origin);
  });

  test('a blob has the disk’s digest only where it is the disk', () => {
    const bare = wantedOfFile(httpOrigin({ digest: digest('1') }), source);
    const packed = wantedOfFile(httpOrigin({ digest: digest('1'), compression: 'gzip' }), source);
    expect(bare.parts.map((part) => blobDigestOf(bare, part))).toEqual([digest('1')]);
    expect(packed.parts.map((part) => blobDigestOf(packed, part))).toEqual([undefined]);
  });
});

describe('names', () => {
  const id = digest('a');
  test('are the one with the digest and the one with the tag, in this order', () => {
    const from = { origin: digest('c'), validators: { etag: '"one"' } };
    expect(namesFor(parseReference('disk'), id, digest('b'), from)).toEqual([
      { key: `disk@${digest('b')}`, imageId: id },
      { key: 'disk:latest', imageId: id, origin: { urlDigest: digest('c'), etag: '"one"' } },
    ]);
  });

  test('by digest there is no tag, and no origin', () => {
    const from = { origin: digest('c'), validators: {} };
    expect(namesFor(parseReference(`r.example/disk:1@${digest('b')}`), id, digest('b'), from)).toEqual([
      { key: `r.example/disk@${digest('b')}`, imageId: id },
    ]);
  });
});
