import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** Starts an HTTPS server on loopback and answers its port; closed with its connections when the running test ends. */
export async function startTlsServer(options: ServerOptions, onRequest: RequestListener): Promise<number> {
  const server = createServer(options, onRequest);
  server.on('tlsClientError', () => undefined); // a client that does not trust us goes away
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}
