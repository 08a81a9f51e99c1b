import { expect, test } from 'vitest';
import { parseSignatureManifest } from '../../../../src/images/signature/signature-manifest.ts';

test('a manifest of signatures that would keep the event loop busy is none', () => {
  const manifest = (layers: number): Buffer =>
    Buffer.from(JSON.stringify({ schemaVersion: 2, layers: Array.from({ length: layers }, () => ({})) }));
  expect(parseSignatureManifest(manifest(9_000))).toEqual({ layers: [], unusable: 32 });
  expect(parseSignatureManifest(manifest(1_300_000))).toBeUndefined(); // 4 MiB, as much as a registry may send
});
