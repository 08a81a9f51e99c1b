import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { programPath } from '../../../src/lib/run-program.ts';
import { waitFor } from '../../lib/wait.ts';

/** A plain web server, a process of its own. */
export interface WebServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
}

/** Serves a directory with busybox's httpd: ranges, sendfile(2), a process a connection. */
export async function startWebServer(dir: string): Promise<WebServer> {
  const port = await freePort();
  const child = spawn('busybox', ['httpd', '-f', '-p', `127.0.0.1:${port}`, '-h', dir], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { PATH: programPath },
  });
  const origin = `http://127.0.0.1:${port}`;
  await waitFor(
    async () =>
      fetch(origin).then(
        () => 'up',
        () => false,
      ),
    { timeoutMs: 10_000, what: 'the web server' },
  );
  return {
    origin,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
