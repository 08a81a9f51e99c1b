import { describe, expect, test } from 'vitest';
import type { IndexEntry } from '../../../../src/images/registry/manifest.ts';
import { architectureOf, checkConfigPlatform, chooseEntry } from '../../../../src/images/registry/platform.ts';

const mediaType = 'application/vnd.oci.image.manifest.v1+json';

function entries(...platforms: readonly (string | undefined)[]): readonly IndexEntry[] {
  return platforms.map((text, index) => {
    const [os = '', architecture = '', variant] = text?.split('/') ?? [];
    return { mediaType, digest: String(index), size: 1, ...(text === undefined ? {} : { platform: { os, architecture, variant } }) };
  });
}

describe('the entry of an index for our platform', () => {
  test.each<[readonly (string | undefined)[], 'amd64' | 'arm64', string]>([
    [['linux/arm64', 'linux/amd64'], 'amd64', '1'],
    [['linux/arm/v7', 'linux/arm64/v8'], 'arm64', '1'],
    [['linux/amd64/v3', 'linux/amd64'], 'amd64', '1'],
    [['linux/amd64/v3', 'linux/amd64/v1'], 'amd64', '1'],
    [['linux/amd64/v3', 'linux/amd64/v2'], 'amd64', '0'],
    [['windows/amd64', 'linux/amd64'], 'amd64', '1'],
    [['unknown/unknown', 'linux/amd64'], 'amd64', '1'],
    [[undefined, 'linux/amd64'], 'amd64', '1'],
    [[undefined], 'amd64', '0'],
  ])('%j for %s', (platforms, architecture, chosen) => {
    expect(chooseEntry(entries(...platforms), architecture, 'x').digest).toBe(chosen);
  });

  test.each<[readonly (string | undefined)[], string]>([
    [['linux/arm64/v8', 'windows/amd64'], 'x has nothing for linux/amd64, only linux/arm64/v8, windows/amd64'],
    [['linux/arm64'], 'x has nothing for linux/amd64, only linux/arm64'],
    [[undefined, undefined], 'x has nothing for linux/amd64, only one without a platform'],
    [[], 'x has nothing for linux/amd64, only nothing that is an image'],
    [['li\nnux/"'], 'x has nothing for linux/amd64, only li?nux/\\"'],
    [
      Array.from({ length: 12 }, (_, index) => `os${index}/z`),
      `only ${Array.from({ length: 10 }, (_, index) => `os${index}/z`).join(', ')} and 2 more`,
    ],
  ])('is missing in %j', (platforms, message) => {
    expect(() => chooseEntry(entries(...platforms), 'amd64', 'x')).toThrow(
      expect.objectContaining({ kind: 'manifest', message: expect.stringContaining(message) }),
    );
  });

  test('is never one that is no manifest', () => {
    const [entry] = entries('linux/amd64');
    if (!entry) throw new Error('none');
    expect(() => chooseEntry([{ ...entry, mediaType: 'text/html' }], 'amd64', 'x')).toThrow(/only nothing that is an image/);
  });
});

describe('an image whose configuration says', () => {
  const check = (text: string) => (): void => checkConfigPlatform(Buffer.from(text), 'amd64', 'x');

  test.each(['{"os":"linux","architecture":"amd64"}', '{"os":"","architecture":""}', '{"architecture":7}', '{}', 'no JSON', 'null'])(
    '%s fits',
    (text) => {
      expect(check(text)).not.toThrow();
    },
  );

  test.each(['{"os":"linux","architecture":"arm64"}', '{"architecture":"arm64"}', '{"os":"windows","architecture":"amd64"}'])(
    '%s does not',
    (text) => {
      expect(check(text)).toThrow(expect.objectContaining({ kind: 'manifest' }));
    },
  );
});

test('architectures are Node’s', () => {
  expect([architectureOf('x64'), architectureOf('arm64')]).toEqual(['amd64', 'arm64']);
  expect(() => architectureOf('s390x')).toThrow(/not on s390x/);
});
