import { once } from 'node:events';
import { createServer as createHttp, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createHttps, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** A request that a double has seen, its body read. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Answers one request; the requests that came before it, this one included, are counted from 1. */
export type DoubleAnswer = (request: SeenRequest, response: ServerResponse, count: number) => void;

/** A server of a test's own that stands for a registry, a token server or whoever a registry sends us to. */
export interface RegistryDouble {
  readonly host: string;
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  /** Sets the answer at a path, without query. */
  readonly answer: (path: string, answer: DoubleAnswer) => void;
}

/** Starts a server on loopback that answers 404 to what it has no answer for. Closed when the running test ends. */
export async function startDouble(tls?: ServerOptions): Promise<RegistryDouble> {
  const answers = new Map<string, DoubleAnswer>();
  const requests: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  const listener: RequestListener = (request, response) => {
    void request.toArray().then(
      (chunks: Buffer[]) => {
        const url = new URL(request.url ?? '', 'http://double');
        const { pathname: path, searchParams: query } = url;
        const seen = { method: request.method ?? '', path, query, headers: request.headers, body: Buffer.concat(chunks).toString('utf8') };
        requests.push(seen);
        const answer = answers.get(path);
        if (answer) answer(seen, response, requests.filter((each) => each.path === path).length);
        else response.writeHead(404).end();
      },
      () => undefined,
    ); // the client may go away whenever it likes
  };
  const server = tls ? createHttps(tls, listener) : createHttp(listener);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { host, url: `${tls ? 'https' : 'http'}://${host}`, requests, answer: (path, answer) => void answers.set(path, answer) };
}
