// Downloads a blob until it is killed: node download-process.ts URL DIR KEY
import { makeHttpClient } from '../../../../src/images/http/http-client.ts';
import { httpBlobSource } from '../../../../src/images/http/http-source.ts';
import { plainTransport } from '../../../../src/images/http/transport.ts';
import { fetchBlob } from '../../../../src/images/transfer/fetch-blob.ts';
import { openPartial } from '../../../../src/images/transfer/partial.ts';
import { followPrefix } from '../../../lib/prefix-follower.ts';

const [url = '', dir = '', key = ''] = process.argv.slice(2);
const client = makeHttpClient({ transport: plainTransport, allowedNetworks: [] });
await using partial = await openPartial(dir, key);
await fetchBlob(
  {
    source: httpBlobSource(client, { url: new URL(url), isConfigured: true }),
    maxBytes: 2 ** 30,
    stallTimeoutMs: 60_000,
    segmentBytes: 2 ** 20,
    journalEveryMs: 20,
  },
  { partial, startFollower: () => followPrefix(partial.path), reserve: async () => undefined },
  new AbortController().signal,
);
