import { onTestFinished } from 'vitest';
import { makeLibvirtClient, type LibvirtClient, type LibvirtClientOptions } from '../../../src/libvirt/libvirt.ts';
import { makeFakeLibvirtd, type FakeLibvirtd } from '../../lib/fake-libvirtd.ts';

/** Quick to come back, events of one kind; each test overrides what it is about. */
const quick = { events: ['lifecycle'], reconnect: { minMs: 5, maxMs: 20 } } as const;

/** A client of a fake libvirtd, closed when the running test ends. */
export function makeClient(fake: FakeLibvirtd, options: Partial<LibvirtClientOptions> = {}): LibvirtClient {
  const client = makeLibvirtClient({ socketPath: fake.socketPath, ...quick, ...options });
  onTestFinished(client.close);
  return client;
}

/** A fake libvirtd and a client that is connected to it. */
export async function makeConnected(options: Partial<LibvirtClientOptions> = {}): Promise<{ fake: FakeLibvirtd; client: LibvirtClient }> {
  const fake = makeFakeLibvirtd();
  await fake.listen();
  const client = makeClient(fake, options);
  await client.connected(AbortSignal.timeout(5000));
  return { fake, client };
}

/** The error that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('it did not fail');
}
