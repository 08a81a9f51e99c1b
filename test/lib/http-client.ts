import { onTestFinished } from 'vitest';
import { parseNetwork, type Network } from '../../src/images/http/address-rules.ts';
import { makeHttpClient, type HttpClient } from '../../src/images/http/http-client.ts';
import type { Resolver } from '../../src/images/http/http-get.ts';
import { plainTransport, type Transport } from '../../src/images/http/transport.ts';

/** What differs from a client without configuration. */
export interface ClientFields {
  readonly transport?: Partial<Transport>;
  readonly allowed?: readonly string[];
  /** Addresses of names, in place of the system's. */
  readonly names?: Readonly<Record<string, readonly string[]>>;
  readonly resolver?: Resolver;
}

/** A client of a test's own; closed when the running test ends. */
export function openClient({ transport = {}, allowed = [], names = {}, resolver = resolverOf(names) }: ClientFields = {}): HttpClient {
  const client = makeHttpClient({ transport: { ...plainTransport, ...transport }, allowedNetworks: allowed.map(networkOf), resolver });
  onTestFinished(() => client[Symbol.dispose]());
  return client;
}

/** Knows these names alone. */
export function resolverOf(names: Readonly<Record<string, readonly string[]>>): Resolver {
  return (hostname, done) => {
    const addresses = names[hostname];
    if (addresses)
      done(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    else done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: 'ENOTFOUND' }), []);
  };
}

function networkOf(text: string): Network {
  const network = parseNetwork(text);
  if (!network) throw new Error(`${text} is no network`);
  return network;
}
