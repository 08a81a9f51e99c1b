import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** A server that listens until the running test ends. */
export interface TestServer {
  readonly port: number;
  /** `ADDRESS:PORT` */
  readonly host: string;
  /** Connections that are open now. */
  readonly connections: () => number;
  /** Ends with the server, as its own connections do. */
  readonly track: (socket: Socket) => void;
}

/** Lets a server listen on a free port; it and its connections are closed when the running test ends, whatever their clients do. */
export async function listenInTest(server: Server, address = '127.0.0.1'): Promise<TestServer> {
  const sockets = new Set<Socket>();
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined); // the client may go away whenever it likes
  };
  server.on('connection', track);
  server.listen(0, address);
  await once(server, 'listening');
  onTestFinished(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  const { port } = server.address() as AddressInfo;
  return { port, host: `${address.includes(':') ? `[${address}]` : address}:${port}`, connections: () => sockets.size, track };
}
