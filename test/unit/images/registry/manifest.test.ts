import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PullProblem } from '../../../../src/images/failures.ts';
import { parseBoundedJson } from '../../../../src/images/bounded-json.ts';
import { diskLayersOf } from '../../../../src/images/registry/disk-layers.ts';
import { parseManifest } from '../../../../src/images/registry/manifest.ts';
import { chooseEntry } from '../../../../src/images/registry/platform.ts';
import { quoted } from '../../../../src/images/quoted.ts';

const digest = `sha256:${'0'.repeat(64)}`;
const imageType = 'application/vnd.oci.image.manifest.v1+json';
const indexType = 'application/vnd.oci.image.index.v1+json';

const text = fc.oneof(
  fc.string(),
  fc.constantFrom(
    imageType,
    indexType,
    digest,
    'application/vnd.oci.image.layer.v1.tar',
    'application/vnd.x.qcow2',
    'linux',
    'amd64',
    '__proto__',
  ),
);
const descriptor = fc.record(
  {
    mediaType: text,
    digest: text,
    size: fc.oneof(fc.nat(), fc.double(), fc.string()),
    urls: fc.oneof(fc.array(text), fc.anything()),
    annotations: fc.oneof(fc.dictionary(text, text), fc.anything()),
    platform: fc.oneof(fc.record({ os: text, architecture: text, variant: text }), fc.anything()),
  },
  { requiredKeys: ['mediaType', 'digest', 'size'] },
);
const list = fc.oneof(fc.array(descriptor), fc.anything());
const manifest = fc.record(
  {
    schemaVersion: fc.constantFrom(2, 2, 2, 1, '2'),
    mediaType: text,
    config: descriptor,
    layers: list,
    manifests: list,
    artifactType: text,
  },
  { requiredKeys: ['schemaVersion'] },
);

function judge(mediaType: string, bytes: Buffer): unknown {
  try {
    const parsed = parseManifest({ mediaType, bytes, digest }, 'x');
    if (parsed.kind === 'index') chooseEntry(parsed.entries, 'amd64', 'x');
    else diskLayersOf(parsed, 1000, 'x');
    return 'fine';
  } catch (error) {
    return error instanceof PullProblem ? error.message : error;
  }
}

test('whatever a registry sends is an image, an index, or a problem that says so in printable words', () => {
  fc.assert(
    fc.property(fc.oneof(manifest, fc.anything()), fc.constantFrom(imageType, indexType), (value, mediaType) => {
      const json = JSON.stringify(value, (_key, each: unknown) => (typeof each === 'bigint' ? String(each) : each)) as string | undefined;
      expect(judge(mediaType, Buffer.from(json ?? ''))).toEqual(expect.stringMatching(/^[\x20-\x7e]{1,1200}$/));
    }),
    { numRuns: 1000 },
  );
});

describe('JSON of a stranger', () => {
  test('is read, if it has not too many parts', () => {
    expect(parseBoundedJson(Buffer.from('{"a":[1]}'))).toEqual({ a: [1] });
    expect(parseBoundedJson(Buffer.from('hello'))).toBeUndefined();
    expect(parseBoundedJson(Buffer.from(`["${'a'.repeat(200_000)}"]`))).toHaveLength(1);
    expect(parseBoundedJson(Buffer.from(`[${'1,'.repeat(200_000)}1]`))).toBeUndefined();
    expect(parseBoundedJson(Buffer.from('['.repeat(200_000)))).toBeUndefined();
  });
});

test('text of a stranger is shown short and printable', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (each) => {
      expect(quoted(each)).toMatch(/^"[\x20-\x7e]{0,200}"$/);
    }),
  );
  expect(quoted('a\n"b"')).toBe('"a?\\"b\\""');
  expect(quoted('x'.repeat(101))).toBe(`"${'x'.repeat(97)}..."`);
});
