import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeLibvirtClient } from '../../../src/libvirt/libvirt.ts';
import { expectGolden } from '../../lib/golden.ts';
import { answersOf, printed } from '../../lib/libvirt-calls.ts';
import { startTap } from '../../lib/libvirt-tap.ts';
import { startLibvirtd, type PrivateLibvirtd } from '../../lib/libvirtd.ts';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Recording } from '../../lib/libvirt-tap.ts';

let libvirtd: PrivateLibvirtd;
beforeAll(async () => {
  libvirtd = await startLibvirtd();
});
afterAll(() => libvirtd.stop());

test('a real libvirtd understands every call; what is asked is what the fixture holds', async () => {
  const tap = await startTap(libvirtd.socketPath);
  const client = makeLibvirtClient({ socketPath: tap.socketPath, uri: 'test:///default' });
  await client.connected(AbortSignal.timeout(30_000));
  await answersOf(client);
  await client.close();
  if (process.env['UPDATE_GOLDEN'] === '1') expectGolden('libvirt/recorded.json', printed(tap.recordings));
  const fixture = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../fixtures/libvirt/recorded.json'), 'utf8'),
  ) as readonly Recording[];
  const requests = (recordings: readonly Recording[]): readonly string[][] =>
    recordings.map(({ exchanges }) => exchanges.map(({ request }) => request));
  expect(requests(tap.recordings)).toEqual(requests(fixture));
});
