import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6 } from 'node:net';
import { z } from 'zod';

/**
 * node test/node/peer-program.ts, started over an IPC channel in a network namespace (`startPeer`): who connects by TCP is told where the
 * connection came from; who sends a datagram is told the same, and how long it was, and so is the parent.
 */
const message = z.object({ to: z.string(), port: z.int(), text: z.string() });
const [port = 0, tcpBytes = 0] = process.argv.slice(2).map(Number);

const tcp = createServer((socket) => {
  socket.on('error', () => undefined); // who has asked may be gone: the test sees what it got
  socket.end(`from ${plain(socket.remoteAddress ?? '')}\n`.padEnd(tcpBytes, '.'));
}).listen(port, '::');
await once(tcp, 'listening');
const [udp4, udp6] = await Promise.all([listen(createSocket('udp4')), listen(createSocket({ type: 'udp6', ipv6Only: true }))]);
process.on('message', (value) => {
  const { to, port: toPort, text } = message.parse(value);
  // Larger than the path's MTU, as the kernel knows it by then: an error, and the next try goes in pieces.
  (isIPv6(to) ? udp6 : udp4).send(text, toPort, to, () => undefined);
});
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function listen(socket: Socket): Promise<Socket> {
  socket.on('message', (bytes, { address, port: from }) => {
    process.send?.({ from: address, text: bytes.toString() });
    socket.send(`from ${address} ${bytes.length} bytes\n`, from, address);
  });
  socket.on('error', () => undefined);
  socket.bind(port);
  await once(socket, 'listening');
  return socket;
}

function plain(address: string): string {
  return address.replace(/^::ffff:/, '');
}
