import { createServer, type Socket } from 'node:net';
import { listenInTest } from './test-server.ts';

/** A TCP server of a test's own on loopback: `serve` gets each connection. Closed with its connections when the running test ends. */
export async function startRawServer(
  serve: (socket: Socket) => void,
): Promise<{ readonly port: number; readonly connections: () => number }> {
  const server = createServer((socket) => {
    socket.resume(); // else its end would not be seen
    serve(socket);
  });
  return listenInTest(server);
}
