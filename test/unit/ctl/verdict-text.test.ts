import { expect, test } from 'vitest';
import { verdictJson, verdictText } from '../../../src/ctl/verdict-text.ts';
import type { Verdict } from '../../../src/images/images.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const layer: Verdict = {
  verdict: 'accepted',
  format: 'qcow2',
  wrapping: { archive: 'tar', compression: 'gzip' },
  sizeBytes: 517,
  diskSizeBytes: 196_616,
  digest,
  virtualSizeBytes: 2 ** 30 * 1.5,
};
const disk: Verdict = {
  verdict: 'refused',
  rule: 'magic',
  reason: 'it is no qcow2 disk',
  format: 'qcow2',
  wrapping: { archive: 'none', compression: 'none' },
  sizeBytes: 2 ** 20,
  diskSizeBytes: 2 ** 20,
};

test('a layer that is accepted, as text', () => {
  expect(verdictText('/tmp/layer.tar.gz', layer)).toBe(
    [
      'accepted      /tmp/layer.tar.gz',
      'format        qcow2',
      'wrapping      tar+gzip',
      'virtual size  1610612736 bytes (1.5 GiB)',
      'file size     517 bytes',
      'disk size     196616 bytes (192 KiB)',
      `disk digest   ${digest}`,
      '',
    ].join('\n'),
  );
});

test('a disk that is refused, as text, with what to try', () => {
  expect(verdictText('/tmp/disk.img', disk)).toBe(
    [
      'refused       /tmp/disk.img',
      'rule          magic',
      'reason        it is no qcow2 disk',
      'format        qcow2',
      'wrapping      none',
      'file size     1048576 bytes (1 MiB)',
      'hint          if it is a raw disk, say --format raw, and so in images.sources or the media type',
      '',
    ].join('\n'),
  );
  expect(verdictText('/tmp/disk.img', { ...disk, rule: 'dirty' })).not.toContain('hint');
});

test('a disk that would be converted says so', () => {
  expect(verdictText('/tmp/disk.vmdk', { ...layer, format: 'vmdk' })).toMatch(/hint +only nodes whose images.convert lists vmdk take it/);
});

test('both as JSON, one object on a line', () => {
  const { wrapping: _, ...rest } = layer;
  expect(verdictJson('/tmp/layer.tar.gz', layer)).toMatch(/^[^\n]+\n$/);
  expect(JSON.parse(verdictJson('/tmp/layer.tar.gz', layer))).toEqual({ file: '/tmp/layer.tar.gz', ...rest, wrapping: 'tar+gzip' });
  expect(JSON.parse(verdictJson('/tmp/disk.img', disk))).toEqual({
    file: '/tmp/disk.img',
    verdict: 'refused',
    rule: 'magic',
    reason: 'it is no qcow2 disk',
    format: 'qcow2',
    wrapping: 'none',
    sizeBytes: 2 ** 20,
    diskSizeBytes: 2 ** 20,
  });
});

test.each([
  [{ archive: 'none', compression: 'xz' }, 'xz'],
  [{ archive: 'tar', compression: 'none' }, 'tar'],
  [{ archive: 'tar', compression: 'zstd' }, 'tar+zstd'],
] as const)('wrapping %o is %s', (wrapping, text) => {
  expect(JSON.parse(verdictJson('f', { ...layer, wrapping }))).toMatchObject({ wrapping: text });
});
