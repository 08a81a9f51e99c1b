import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';

/** What answers one path; it may misbehave as it likes. */
export type ImageAnswer = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** An HTTP server on loopback that serves disk images. */
export interface ImageServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  /** Serves a file at `/NAME` and answers its address. */
  readonly serveFile: (name: string, file: string) => string;
  /** Answers `/NAME` by a function and tells its address. */
  readonly serve: (name: string, answer: ImageAnswer) => string;
  /** How often a path was asked for. */
  readonly requests: (name: string) => number;
  /** Bytes of a file sent so far by the last request, and how many it has. */
  readonly sentBytes: (name: string) => { readonly sent: number; readonly total: number };
}

/** Starts the server on a free port. */
export async function startImageServer(): Promise<ImageServer> {
  const answers = new Map<string, ImageAnswer>();
  const counts = new Map<string, number>();
  const sent = new Map<string, { sent: number; total: number }>();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    counts.set(path, (counts.get(path) ?? 0) + 1);
    const answer = answers.get(path);
    if (answer) await answer(request, response);
    else response.writeHead(404, { 'content-type': 'text/plain' }).end('no such image\n');
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the image server has no address');
  const origin = `http://127.0.0.1:${address.port}`;

  const serve = (name: string, answer: ImageAnswer): string => {
    answers.set(`/${name}`, answer);
    return `${origin}/${name}`;
  };
  return {
    origin,
    serve,
    serveFile: (name, file) =>
      serve(name, async (request, response) => {
        const total = (await stat(file)).size;
        sent.set(name, { sent: 0, total });
        const count = (bytes: number): void => void sent.set(name, { sent: (sent.get(name)?.sent ?? 0) + bytes, total });
        await sendFile(file, total, { request, response, count });
      }),
    sentBytes: (name) => sent.get(name) ?? { sent: 0, total: 0 },
    requests: (name) => counts.get(`/${name}`) ?? 0,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly count: (bytes: number) => void;
}

async function sendFile(file: string, size: number, { request, response, count }: Exchange): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const source = createReadStream(file);
  source.on('data', (chunk) => count(chunk.length));
  await pipeline(source, response);
}
