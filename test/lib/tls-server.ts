import type { RequestListener } from 'node:http';
import { createServer, type ServerOptions } from 'node:https';
import { listenInTest } from './test-server.ts';

/** Starts an HTTPS server on loopback and answers its port; closed with its connections when the running test ends. */
export async function startTlsServer(options: ServerOptions, onRequest: RequestListener): Promise<number> {
  const server = createServer(options, onRequest);
  server.on('tlsClientError', () => undefined); // a client that does not trust us goes away
  return (await listenInTest(server)).port;
}
