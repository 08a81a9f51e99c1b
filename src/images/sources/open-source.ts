import { makeHttpClient, type HttpClientOptions } from '../http/http-client.ts';
import { httpBlobSource } from '../http/http-source.ts';
import { basicOf } from '../http/http-rules.ts';
import { fileSource } from '../transfer/file-source.ts';
import type { BlobSource } from '../transfer/blob-source.ts';
import type { FileOrigin, HttpOrigin } from './origin.ts';

/** A mapped file that can be asked for; dispose to close its connections. */
export interface OpenedSource extends Disposable {
  readonly source: BlobSource;
}

/** Opens what a mapping leads to; nothing is asked yet. */
export type OpenSource = (origin: HttpOrigin | FileOrigin) => OpenedSource;

/** Makes the opener. */
export function makeOpenSource(options: Omit<HttpClientOptions, 'transport'>): OpenSource {
  return (origin) => {
    if (origin.kind === 'file') return { source: fileSource(origin.path), [Symbol.dispose]: () => undefined };
    const { url, isConfigured, transport } = origin;
    const client = makeHttpClient({ ...options, transport });
    const source = httpBlobSource(client, { url, isConfigured, authorization: basicOf(url) });
    return { source, [Symbol.dispose]: () => client[Symbol.dispose]() };
  };
}
