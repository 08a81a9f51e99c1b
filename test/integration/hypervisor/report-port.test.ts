import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { followReports } from '../../../src/hypervisor/report-port.ts';
import type { GuestReport } from '../../../src/model/container.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

const within = { timeoutMs: 20_000 };

/** Plays QEMU's side of the port. */
async function listen(path: string): Promise<{ server: Server; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket));
  server.listen(path);
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, sockets };
}

test('hears reports, also the last words before the port closes, and comes back to a port that is there again', async () => {
  const path = join(tempDir(), 'p.sock');
  const first = await listen(path);
  const heard: GuestReport[] = [];
  const port = followReports(path, (report) => heard.push(report));
  onTestFinished(() => port.close());
  await waitFor(() => first.sockets.length === 1, { ...within, what: 'a connection' });
  first.sockets[0]?.write('2 one\n');
  await waitFor(() => heard.length === 1, { ...within, what: 'a report' });
  first.sockets[0]?.end('3 last words\n');
  first.server.close();
  await port.heard(20_000);
  expect(heard.at(-1)).toEqual({ exitCode: 3, message: 'last words' });
  const second = await listen(path);
  await waitFor(() => second.sockets.length === 1, { ...within, what: 'another connection' });
});

test('waits for a port that is not there yet, and no longer than asked for one that stays open', async () => {
  const path = join(tempDir(), 'p.sock');
  const heard: GuestReport[] = [];
  const port = followReports(path, (report) => heard.push(report));
  onTestFinished(() => port.close());
  const { sockets } = await listen(path);
  await waitFor(() => sockets.length === 1, { ...within, what: 'a connection' });
  await port.heard(50);
  sockets[0]?.write('0\n');
  await waitFor(() => heard.length === 1, { ...within, what: 'a report' });
  port.close();
  port.close();
  await waitFor(() => sockets[0]?.destroyed, { ...within, what: 'the connection to end' });
  expect(heard).toEqual([{ exitCode: 0, message: '' }]);
});
