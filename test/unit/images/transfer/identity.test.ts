import { describe, expect, test } from 'vitest';
import { canResume, conditionOf, isSame, type BlobIdentity } from '../../../../src/images/transfer/identity.ts';

const [noon, later] = ['Tue, 24 Nov 2026 12:00:00 GMT', 'Tue, 24 Nov 2026 13:00:00 GMT'];
const digest = `sha256:${'0'.repeat(64)}`;
const tagged: BlobIdentity = { totalBytes: 10, validators: { etag: '"a"', lastModified: noon }, expectedDigest: undefined };
const dated: BlobIdentity = { ...tagged, validators: { lastModified: noon } };
const bare: BlobIdentity = { ...tagged, validators: {} };
const known: BlobIdentity = { ...tagged, expectedDigest: digest };

test('bytes can be added to where a tag, a date or a digest tells them', () => {
  expect([tagged, dated, known, { ...bare, expectedDigest: digest }, bare].map(canResume)).toEqual([true, true, true, true, false]);
});

test('a range is tied to the bytes unless the digest will tell', () => {
  expect(conditionOf(tagged)).toEqual(tagged.validators);
  expect(conditionOf(known)).toBeUndefined();
});

describe('an answer is of the same blob', () => {
  test.each([
    ['with the same tag', tagged, { totalBytes: 10, validators: { etag: '"a"' } }, true],
    ['with the same tag and no size', tagged, { totalBytes: undefined, validators: { etag: '"a"' } }, true],
    ['not of another size', tagged, { totalBytes: 11, validators: { etag: '"a"' } }, false],
    ['not with another tag', tagged, { totalBytes: 10, validators: { etag: '"b"', lastModified: noon } }, false],
    ['not without the tag', tagged, { totalBytes: 10, validators: { lastModified: noon } }, false],
    ['with the same date', dated, { totalBytes: 10, validators: { lastModified: noon } }, true],
    ['without the date', dated, { totalBytes: 10, validators: {} }, true],
    ['not with another date', dated, { totalBytes: 10, validators: { lastModified: later } }, false],
    ['whatever its tag, where the digest tells', known, { totalBytes: 10, validators: { etag: '"b"' } }, true],
    ['not of another size, where the digest tells', known, { totalBytes: 11, validators: { etag: '"a"' } }, false],
  ])('%s', (...[, identity, answer, expected]) => {
    expect(isSame(identity, answer)).toBe(expected);
  });
});
