import { describe, expect, test } from 'vitest';
import { judgeInfo, parseQemuVersion } from '../../../../src/images/door/qemu-report.ts';

/** As qemu-img 7.2 prints it for a new disk of 64 MiB. */
const sound = {
  'virtual-size': 67_108_864,
  filename: '/proc/self/fd/3',
  'cluster-size': 65_536,
  format: 'qcow2',
  'actual-size': 200_704,
  'format-specific': {
    type: 'qcow2',
    data: { compat: '1.1', 'compression-type': 'zlib', 'lazy-refcounts': false, 'refcount-bits': 16, corrupt: false, 'extended-l2': false },
  },
  'dirty-flag': false,
};

function judge(changes: object, data: object = {}): void {
  const specific = { ...sound['format-specific'], data: { ...sound['format-specific'].data, ...data } };
  judgeInfo(JSON.stringify({ ...sound, 'format-specific': specific, ...changes }), 67_108_864);
}

test('what qemu-img says of a sound disk passes, fields of other versions included', () => {
  expect(() => judge({ children: [] })).not.toThrow();
});

describe('what is refused again by QEMU’s reading', () => {
  test.each<[string, object, object, string]>([
    ['another format', { format: 'raw' }, {}, 'qemu-format'],
    ['backing file', { 'backing-filename': '/etc/shadow' }, {}, 'backing-file'],
    ['full name of a backing file', { 'full-backing-filename': '/etc/shadow' }, {}, 'backing-file'],
    ['format of a backing file', { 'backing-filename-format': 'raw' }, {}, 'backing-file'],
    ['data file', {}, { 'data-file': '/etc/shadow' }, 'data-file'],
    ['raw data file', {}, { 'data-file-raw': true }, 'data-file'],
    ['encrypted', { encrypted: true }, {}, 'encryption'],
    ['encryption details', {}, { encrypt: { format: 'luks' } }, 'encryption'],
    ['snapshots', { snapshots: [{ id: '1' }] }, {}, 'internal-snapshots'],
    ['bitmaps', {}, { bitmaps: [{ name: 'a' }] }, 'bitmaps'],
    ['corrupt', {}, { corrupt: true }, 'corrupt'],
    ['dirty', { 'dirty-flag': true }, {}, 'dirty'],
    ['another size than the header’s', { 'virtual-size': 512 }, {}, 'virtual-size'],
    ['impossible size', { 'virtual-size': -1 }, {}, 'qemu-info'],
    ['no details', { 'format-specific': undefined }, {}, 'qemu-info'],
  ])('%s', (_name, changes, data, rule) => {
    expect(() => judge(changes, data)).toThrow(expect.objectContaining({ rule }));
  });

  test.each(['', '[]', 'null', '{', 'x'.repeat(100_000)])('no report: %.20j', (text) => {
    expect(() => judgeInfo(text, 1)).toThrow(expect.objectContaining({ rule: 'qemu-info' }));
  });
});

test('the version is the first line’s, patches of a distribution included', () => {
  expect(parseQemuVersion('qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) 2003\n')).toBe('7.2.22 (Debian 1:7.2+dfsg-7)');
  expect(parseQemuVersion('bash: qemu-img: not found')).toBeUndefined();
});
