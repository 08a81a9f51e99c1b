import { describe, expect, test } from 'vitest';
import { diskLayersOf, readingOf } from '../../../../src/images/registry/disk-layers.ts';
import type { Descriptor, ImageManifest } from '../../../../src/images/registry/manifest.ts';

const digest = `sha256:${'0'.repeat(64)}`;
const imageConfig = 'application/vnd.oci.image.config.v1+json';

function layer(mediaType: string, more: Partial<Descriptor> = {}): Descriptor {
  return { mediaType, digest, size: 10, ...more };
}

function manifest(layers: readonly Descriptor[], config = imageConfig, artifactType?: string): ImageManifest {
  return { kind: 'image', config: layer(config), artifactType, layers };
}

describe('how an artifact’s layer is read', () => {
  test.each<[string, string, string | undefined]>([
    ['application/vnd.vm.disk.qcow2', '', 'qcow2 none'],
    ['application/vnd.vm.disk.qcow2+gzip', '', 'qcow2 gzip'],
    ['application/vnd.vm.disk.qcow2+zstd', 'x.raw', 'qcow2 zstd'],
    ['application/vnd.acme.qcow2.disk.v1+xz', '', 'qcow2 xz'],
    ['application/vnd.vm.disk.raw', 'x.qcow2', 'raw none'],
    ['application/vnd.vm.disk.raw+gzip', '', 'raw gzip'],
    ['application/x-raw-disk', '', 'raw none'],
    ['application/vnd.strawberry', '', undefined],
    ['application/vnd.vm.rawhide', '', undefined],
    ['application/vnd.vm.disk.qcow2', 'x.qcow2.zst', 'qcow2 zstd'],
    ['application/vnd.oci.image.layer.v1.tar', 'x.qcow2', 'qcow2 none'],
    ['application/octet-stream', 'X.QCOW2.GZ', 'qcow2 gzip'],
    ['application/octet-stream', 'disk.img.xz', undefined],
    ['application/octet-stream', 'disk.raw.xz', 'raw xz'],
    ['application/octet-stream', 'disk.raw', 'raw none'],
    ['application/octet-stream', 'qcow2', undefined],
    ['application/octet-stream', 'disk.qcow2.txt', undefined],
    ['text/qcow2', '', undefined],
  ])('%s, %j: %s', (mediaType, title, expected) => {
    const reading = readingOf(mediaType, title);
    expect(reading && `${reading.format} ${reading.compression}`).toBe(expected);
  });
});

describe('layers that may hold the disk', () => {
  test.each([
    ['application/vnd.oci.image.layer.v1.tar', 'none'],
    ['application/vnd.oci.image.layer.v1.tar+gzip', 'gzip'],
    ['application/vnd.oci.image.layer.v1.tar+zstd', 'zstd'],
    ['application/vnd.docker.image.rootfs.diff.tar', 'none'],
    ['application/vnd.docker.image.rootfs.diff.tar.gzip', 'gzip'],
    ['application/vnd.docker.image.rootfs.diff.tar.zstd', 'zstd'],
  ])('of a container image are archives: %s', (mediaType, compression) => {
    expect(diskLayersOf(manifest([layer(mediaType)]), 100, 'x')).toEqual([
      { digest, sizeBytes: 10, format: 'qcow2', wrapping: { archive: 'tar', compression } },
    ]);
  });

  test('of an artifact are the one that is it, whatever else there is', () => {
    const layers = [layer('text/plain'), layer('application/vnd.vm.disk.raw+zstd', { size: 7 })];
    const expected = [{ digest, sizeBytes: 7, format: 'raw', wrapping: { archive: 'none', compression: 'zstd' } }];
    expect(diskLayersOf(manifest(layers, 'application/vnd.vm.config.v1+json'), 100, 'x')).toEqual(expected);
    expect(diskLayersOf(manifest(layers, imageConfig, 'application/vnd.vm'), 100, 'x')).toEqual(expected);
  });

  const tar = 'application/vnd.oci.image.layer.v1.tar';
  test.each<[string, readonly Descriptor[], string, RegExp]>([
    ['foreign by type', [layer('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip')], 'manifest', /foreign layer/],
    ['not distributable', [layer('application/vnd.oci.image.layer.nondistributable.v1.tar+gzip')], 'manifest', /foreign layer/],
    ['foreign by address', [layer(tar, { urls: ['https://a.example'] })], 'manifest', /foreign layer/],
    ['encrypted', [layer(`${tar}+encrypted`)], 'manifest', /type ".*encrypted", which is no layer/],
    ['of another kind', [layer(tar), layer('toString')], 'manifest', /type "toString"/],
    [
      'together too large',
      [layer(tar, { size: 60 }), layer(tar, { size: 41 })],
      'too-large',
      /101 bytes, more than images\.maxBytes allows \(100\)/,
    ],
  ])('%s are refused', (_name, layers, kind, message) => {
    expect(() => diskLayersOf(manifest(layers), 100, 'x')).toThrow(
      expect.objectContaining({ kind, message: expect.stringMatching(message) }),
    );
  });
});
