import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** Answers one request. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** An HTTP server of a test's own on loopback. */
export interface DiskServer {
  /** `http://ADDRESS:PORT`, without a slash at the end. */
  readonly url: string;
  /** What was asked so far: path and headers. */
  readonly requests: readonly { readonly path: string; readonly headers: IncomingMessage['headers'] }[];
  /** Sets the answer at a path. */
  readonly answer: (path: string, answer: Answer | Buffer) => void;
  /** Connections that are open now. */
  readonly connections: () => number;
}

/** Starts a server that answers 404 to what it has no answer for, at another address of loopback if asked. Closed when the running test ends. */
export async function startDiskServer(address = '127.0.0.1'): Promise<DiskServer> {
  const answers = new Map<string, Answer>();
  const requests: { path: string; headers: IncomingMessage['headers'] }[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    requests.push({ path, headers: request.headers });
    const answer = answers.get(path);
    if (answer) answer(request, response);
    else response.writeHead(404).end('no');
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined); // the client may go away whenever it likes
  });
  server.listen(0, address);
  await once(server, 'listening');
  onTestFinished(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return {
    url: `http://${address}:${(server.address() as AddressInfo).port}`,
    requests,
    answer: (path, answer) => void answers.set(path, Buffer.isBuffer(answer) ? (_request, response) => void response.end(answer) : answer),
    connections: () => sockets.size,
  };
}
