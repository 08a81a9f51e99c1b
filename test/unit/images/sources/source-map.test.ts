import { describe, expect, test } from 'vitest';
import { plainTransport, type Transport } from '../../../../src/images/http/transport.ts';
import { parseReference } from '../../../../src/images/reference.ts';
import type { Origin } from '../../../../src/images/sources/origin.ts';
import { makeOrigins, type ImageSource, type Mapping } from '../../../../src/images/sources/source-map.ts';

const digest = `sha256:${'ab'.repeat(32)}`;

function source(fields: Partial<ImageSource>): ImageSource {
  return { url: 'https://disks.example/x.qcow2', format: 'qcow2', ...fields };
}

function mapping(sources: readonly ImageSource[], fields: Partial<Mapping> = {}): Mapping {
  return { from: 'images.sources', sources, transports: new Map(), ...fields };
}

function originIn(mappings: readonly Mapping[], reference: string): Origin {
  return makeOrigins({ mappings, urlHosts: [], transport: plainTransport })(parseReference(reference));
}

function whereIn(mappings: readonly Mapping[], reference: string): string {
  const origin = originIn(mappings, reference);
  if (origin.kind === 'http') return origin.url.href;
  return origin.kind === 'file' ? origin.path : 'registry';
}

describe('which source maps a reference', () => {
  const sources = [
    source({ match: 'vm/([^:]+):(.+)', url: 'https://a.example/$1/$2.qcow2?v=$2' }),
    source({ match: 'vm/(.*)', url: 'https://b.example/$1.qcow2' }),
    source({ name: 'vm/exact', url: 'https://c.example/exact' }),
    source({ name: 'vm/exact:2', url: 'https://c.example/two' }),
    source({ name: 'late:latest', url: 'https://c.example/late' }),
    source({ match: 'price', url: 'https://d.example/$$1' }),
    source({ name: 'dollar', url: 'https://d.example/$1' }),
    source({ name: 'registry.example:5000/vm', url: 'file:///srv/disks/vm.img' }),
  ];
  test.each([
    ['vm/exact', 'https://c.example/exact'],
    ['vm/exact:latest', 'https://c.example/exact'],
    ['vm/exact:2', 'https://c.example/two'],
    [`vm/exact:2@${digest}`, 'https://c.example/two'],
    [`vm/exact@${digest}`, 'https://c.example/exact'],
    ['late', 'https://c.example/late'],
    ['vm/fedora:41', 'https://a.example/fedora/41.qcow2?v=41'],
    ['vm/cirros:latest', 'https://a.example/cirros/latest.qcow2?v=latest'],
    ['price', 'https://d.example/$1'],
    ['dollar', 'https://d.example/$1'],
    ['registry.example:5000/vm', '/srv/disks/vm.img'],
    ['registry.example/vm', 'registry'],
    ['other', 'registry'],
  ])('%s: %s', (reference, where) => {
    expect(whereIn([mapping(sources)], reference)).toBe(where);
  });

  test('the shortest spelling of the default tag is tried first', () => {
    expect(whereIn([mapping([source({ match: 'vm/(.*)', url: 'https://b.example/$1.qcow2' })])], 'vm/cirros')).toBe(
      'https://b.example/cirros.qcow2',
    );
  });

  test('expressions are anchored, alternatives included', () => {
    const mappings = [mapping([source({ match: 'a|b', url: 'https://x.example/' })])];
    expect(['ab', 'b', 'xb', 'ax'].map((name) => whereIn(mappings, name))).toEqual([
      'registry',
      'https://x.example/',
      'registry',
      'registry',
    ]);
  });

  test('a group that took no part is empty', () => {
    expect(whereIn([mapping([source({ match: 'vm(/x)?', url: 'https://x.example/a$1b' })])], 'vm')).toBe('https://x.example/ab');
  });
});

describe('several files', () => {
  const at = (from: string, ...sources: Partial<ImageSource>[]): Mapping => mapping(sources.map(source), { from });
  test('an earlier name wins over a later one, and a later name over an earlier expression', () => {
    const files = [
      at('images.sources', { match: 'vm/.*', url: 'https://first.example/any' }),
      at('10.yaml', { name: 'vm/a', url: 'https://ten.example/a' }, { match: 'other/.*', url: 'https://ten.example/other' }),
      at('20.yaml', { name: 'vm/a:latest', url: 'https://twenty.example/a' }, { name: 'vm/b', url: 'https://twenty.example/b' }),
      at('30.yaml', { match: 'other/.*', url: 'https://thirty.example/other' }),
    ];
    expect(['vm/a', 'vm/b', 'vm/c', 'other/x'].map((name) => whereIn(files, name))).toEqual([
      'https://ten.example/a',
      'https://twenty.example/b',
      'https://first.example/any',
      'https://ten.example/other',
    ]);
  });

  test('a transport is the mapping’s own; without one it is the default', () => {
    const slow: Transport = { ...plainTransport, connectTimeoutMs: 90_000 };
    const profiles = new Map([['slow', slow]]);
    const mappings = [mapping([source({ name: 'a', transport: 'slow' }), source({ name: 'b' })], { transports: profiles })];
    expect(originIn(mappings, 'a')).toMatchObject({ kind: 'http', isConfigured: true, transport: slow });
    expect(originIn(mappings, 'b')).toMatchObject({ transport: plainTransport });
    expect(() => originIn([mapping([source({ name: 'a', transport: 'constructor' })], { from: '10.yaml' })], 'a')).toThrow(
      /10\.yaml\[0\]\.transport: is no key of transports/,
    );
  });
});

describe('how the bytes are read', () => {
  test.each<[Partial<ImageSource>, object]>([
    [{}, { format: 'qcow2', compression: 'none', digest: undefined }],
    [{ url: 'https://h.example/d.qcow2.gz' }, { compression: 'gzip' }],
    [
      { url: 'https://h.example/d.raw.zst?x=.gz', format: 'raw' },
      { compression: 'zstd', format: 'raw' },
    ],
    [{ url: 'https://h.example/d.XZ' }, { compression: 'xz' }],
    [{ url: 'https://h.example/d?file=x.gz' }, { compression: 'none' }],
    [{ url: 'https://h.example/d.gz', compression: 'none' }, { compression: 'none' }],
    [{ url: 'https://h.example/d', compression: 'xz' }, { compression: 'xz' }],
    [{ url: 'file:///srv/a%20b.gz' }, { kind: 'file', path: '/srv/a b.gz', compression: 'gzip' }],
    [{ format: 'vmdk' }, { format: 'vmdk' }],
  ])('%j', (fields, expected) => {
    expect(originIn([mapping([source({ name: 'a', ...fields })])], 'a')).toMatchObject(expected);
  });

  test('the digest comes from the reference or the configuration, and they may not contradict each other', () => {
    expect(originIn([mapping([source({ name: 'a' })])], `a@${digest}`)).toMatchObject({ digest });
    const pinned = [mapping([source({ name: 'a', sha256: 'cd'.repeat(32) })], { from: '/etc/x/10.yaml' })];
    expect(originIn(pinned, 'a')).toMatchObject({ digest: `sha256:${'cd'.repeat(32)}` });
    expect(() => originIn(pinned, `a@${digest}`)).toThrow(/a@sha256:abab.* asks for another digest than \/etc\/x\/10\.yaml gives.*cdcd/);
  });
});

test('an expression that is none is INVALID and names its key', () => {
  for (const match of ['(', 'a)|(?:b'])
    expect(() => originIn([mapping([source({ match, url: 'https://host/' })])], 'a')).toThrow(
      expect.objectContaining({ facts: { code: 'INVALID', field: 'images.sources[0].match' } }),
    );
});

test('a name that is none too', () => {
  expect(() => originIn([mapping([source({ name: 'Fedora' })], { from: '10.yaml' })], 'a')).toThrow(
    expect.objectContaining({ facts: { code: 'INVALID', field: '10.yaml[0].name' }, message: expect.stringContaining('lowercase') }),
  );
});
