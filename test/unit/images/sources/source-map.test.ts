import { describe, expect, test } from 'vitest';
import { parseReference } from '../../../../src/images/reference.ts';
import { compileSources, type ImageSource } from '../../../../src/images/sources/source-map.ts';

const digest = `sha256:${'ab'.repeat(32)}`;

function source(fields: Partial<ImageSource>): ImageSource {
  return { url: 'https://disks.example/x.qcow2', format: 'qcow2', ...fields };
}

function urlOf(sources: readonly ImageSource[], reference: string): string {
  return compileSources(sources)(parseReference(reference)).url.href;
}

describe('which source maps a reference', () => {
  const sources = [
    source({ match: 'vm/([^:]+):(.+)', url: 'https://a.example/$1/$2.qcow2?v=$2' }),
    source({ match: 'vm/(.*)', url: 'https://b.example/$1.qcow2' }),
    source({ name: 'vm/exact', url: 'https://c.example/exact' }),
    source({ name: 'vm/exact:2', url: 'https://c.example/two' }),
    source({ name: 'late:latest', url: 'https://c.example/late' }),
    source({ match: 'price', url: 'https://d.example/$$1' }),
  ];
  test.each([
    ['vm/exact', 'https://c.example/exact'],
    ['vm/exact:latest', 'https://c.example/exact'],
    ['vm/exact:2', 'https://c.example/two'],
    ['late', 'https://c.example/late'],
    ['vm/fedora:41', 'https://a.example/fedora/41.qcow2?v=41'],
    ['vm/cirros:latest', 'https://a.example/cirros/latest.qcow2?v=latest'],
    ['price', 'https://d.example/$1'],
  ])('%s', (reference, url) => {
    expect(urlOf(sources, reference)).toBe(url);
  });

  test('the shortest spelling of the default tag is tried first', () => {
    expect(urlOf([source({ match: 'vm/(.*)', url: 'https://b.example/$1.qcow2' })], 'vm/cirros')).toBe('https://b.example/cirros.qcow2');
  });

  test('expressions are anchored, alternatives included', () => {
    const map = compileSources([source({ match: 'a|b', url: 'https://x.example/' })]);
    expect(() => map(parseReference('ab'))).toThrow(/images\.sources/);
    expect(map(parseReference('b')).url.href).toBe('https://x.example/');
  });
});

test('what no source maps is INVALID and names images.sources', () => {
  expect(() => compileSources([])(parseReference('cirros'))).toThrow(
    expect.objectContaining({ facts: { code: 'INVALID', field: 'image' }, message: expect.stringContaining('images.sources') }),
  );
});

test('the digest comes from the reference or the configuration, and they may not contradict each other', () => {
  const plain = compileSources([source({ name: 'a' })]);
  expect(plain(parseReference('a')).digest).toBeUndefined();
  expect(plain(parseReference(`a@${digest}`)).digest).toBe(digest);
  const pinned = compileSources([source({ name: 'a', sha256: 'cd'.repeat(32) })]);
  expect(pinned(parseReference('a')).digest).toBe(`sha256:${'cd'.repeat(32)}`);
  expect(() => pinned(parseReference(`a@${digest}`))).toThrow(/asks for sha256:abab.*says that a is sha256:cdcd/);
});

describe('sources that cannot be', () => {
  test.each([
    [source({ match: '(.*)', url: 'https://$1/disk' }), /images\.sources\[0\]\.url: .*never in the host/],
    [source({ match: '(.*)', url: 'https://u:$1@host/disk' }), /never in the host/],
    [source({ match: '(.*)', url: 'https://host$1' }), /never in the host/],
    [source({ match: '(.*)', url: 'https://host\\$1' }), /never in the host/],
    [source({ name: 'a', url: 'ftp://host/disk' }), /http:\/\/ or https:\/\//],
    [source({ name: 'a', url: 'https://' }), /http:\/\/ or https:\/\//],
    [source({ match: '(', url: 'https://host/' }), /images\.sources\[0\]\.match: is not a regular expression/],
    [source({ match: 'a)|(?:b', url: 'https://host/' }), /images\.sources\[0\]\.match: is not a regular expression/],
  ])('%j', (each, message) => {
    expect(() => compileSources([each])).toThrow(message);
  });
});

test('a reference cannot climb out of its source’s directory', () => {
  const map = compileSources([source({ match: 'x:a(.*)', url: 'https://h.example/disks/$1/disk' })]);
  expect(() => map(parseReference('x:a..'))).toThrow(/leave the directory/);
  expect(map(parseReference('x:a1')).url.href).toBe('https://h.example/disks/1/disk');
});
