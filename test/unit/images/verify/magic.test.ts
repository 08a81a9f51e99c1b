import { expect, test } from 'vitest';
import { archiveOf, compressionOf, magicBytes } from '../../../../src/images/verify/magic.ts';

function block(changes: Readonly<Record<number, string>>): Buffer {
  const bytes = Buffer.alloc(magicBytes);
  for (const [at, text] of Object.entries(changes)) bytes.write(text, Number(at), 'latin1');
  return bytes;
}

test.each([
  ['gzip', block({ 0: '\x1f\x8b\x08' }), 'gzip'],
  ['zstd', block({ 0: '\x28\xb5\x2f\xfd' }), 'zstd'],
  ['xz', block({ 0: '\xfd7zXZ\x00' }), 'xz'],
  ['a qcow2 disk', block({ 0: 'QFI\xfb' }), 'none'],
  ['a beginning of a magic number', Buffer.from('\xfd7zX', 'latin1'), 'none'],
  ['nothing', Buffer.alloc(0), 'none'],
] as const)('compression: %s', (_what, bytes, expected) => {
  expect(compressionOf(bytes)).toBe(expected);
});

test.each([
  ['POSIX tar', block({ 0: 'disk/', 257: 'ustar\x0000' }), 'tar'],
  ['GNU tar', block({ 0: 'disk/', 257: 'ustar  \x00' }), 'tar'],
  ['a qcow2 disk that says ustar in its first sector', block({ 0: 'QFI\xfb', 257: 'ustar\x00' }), 'none'],
  ['a raw disk', block({ 510: '\x55\xaa' }), 'none'],
  ['less than a block', block({ 257: 'ustar' }).subarray(0, 260), 'none'],
  ['nothing', Buffer.alloc(0), 'none'],
] as const)('archive: %s', (_what, bytes, expected) => {
  expect(archiveOf(bytes)).toBe(expected);
});
