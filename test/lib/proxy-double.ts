import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** What a proxy does beside passing on. */
export interface ProxyFields {
  /** `user:password` that it wants. */
  readonly credentials?: string;
  /** Answers every CONNECT with this status; `silent`: with nothing. */
  readonly answer?: number | 'silent';
  /** Where names lead; others lead nowhere. */
  readonly names: Readonly<Record<string, string>>;
}

/** An HTTP proxy of a test's own on loopback, as RFC 9110 has it: absolute addresses for http, CONNECT for https. */
export interface ProxyDouble {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Request lines so far. */
  readonly asked: readonly string[];
  readonly connections: () => number;
}

/** Starts a proxy; closed when the running test ends. */
export async function startProxy({ credentials, answer, names }: ProxyFields): Promise<ProxyDouble> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const wanted = credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString('base64')}`;
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined); // either side may go away whenever it likes
  };
  const whereIs = (host: string): string => names[host] ?? (/^[0-9.]+$/.test(host) ? host : '0.0.0.0');

  const server = createServer((incoming, outgoing) => {
    asked.push(`${incoming.method} ${incoming.url}`);
    if (wanted !== incoming.headers['proxy-authorization']) return void outgoing.writeHead(407).end();
    const url = new URL(incoming.url ?? '');
    const { 'proxy-authorization': _, ...headers } = incoming.headers;
    const onward = httpRequest(
      { host: whereIs(url.hostname), port: url.port, path: url.pathname, method: incoming.method, headers },
      (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(outgoing);
      },
    );
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
    return undefined;
  });
  server.on('connection', track);
  server.on('connect', (incoming, socket: Socket) => {
    asked.push(`CONNECT ${incoming.url}`);
    if (answer === 'silent') return void socket.resume().once('end', () => socket.destroy());
    const status = wanted === incoming.headers['proxy-authorization'] ? (answer ?? 200) : 407;
    socket.write(`HTTP/1.1 ${status} whatever\r\n\r\n`);
    if (status !== 200) return void socket.end();
    const [host = '', port = ''] = (incoming.url ?? '').split(':');
    const onward = connect(Number(port), whereIs(host));
    track(onward);
    socket.pipe(onward).pipe(socket);
    onward.on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked, connections: () => sockets.size };
}
