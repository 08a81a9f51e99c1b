import { once } from 'node:events';
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** A web server of one file, in ranges too; its link may be cut again and again. */
export interface FileServer extends AsyncDisposable {
  readonly url: string;
  /** Cuts so far. */
  readonly cuts: () => number;
  /** Bytes of bodies that left the server so far. */
  readonly sentBytes: () => number;
}

/** Starts it on loopback; it drops all connections each time `cutEveryBytes` more have left, by default never. */
export async function startFileServer(file: string, cutEveryBytes = Infinity): Promise<FileServer> {
  const total = statSync(file).size;
  const sockets = new Set<Socket>();
  let [sent, cuts, next] = [0, 0, cutEveryBytes];

  const server = createServer((request, response) => {
    const range = /^bytes=([0-9]+)-([0-9]*)$/.exec(request.headers.range ?? '');
    const from = Number(range?.[1] ?? 0);
    const end = Math.min(range?.[2] ? Number(range[2]) : total - 1, total - 1);
    const fields = { etag: '"one"', 'accept-ranges': 'bytes', 'content-length': end - from + 1 };
    if (range) response.writeHead(206, { ...fields, 'content-range': `bytes ${from}-${end}/${total}` });
    else response.writeHead(200, fields);
    const body = createReadStream(file, { start: from, end, highWaterMark: 2 ** 18 });
    body.on('data', (chunk) => {
      sent += chunk.length;
      if (sent < next) return;
      [cuts, next] = [cuts + 1, sent + cutEveryBytes];
      for (const socket of sockets) socket.destroySoon(); // what is under way arrives, and nothing more
    });
    response.on('close', () => body.destroy());
    body.pipe(response);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.qcow2`,
    cuts: () => cuts,
    sentBytes: () => sent,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
