import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import { answerTo, text, type Answer, type AnswerSources } from './answers.ts';

/** Where to listen. */
export interface MetricsServerOptions {
  /** An IP address of this machine, without brackets. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Wait before the next attempt when the address cannot be had, milliseconds; default 10 000. */
  readonly retryMs?: number;
  /** A connection on which nothing moves for this long is closed, milliseconds; default 10 000. */
  readonly idleMs?: number;
}

/** The server, listening or trying to. */
export interface MetricsServer {
  /** Where it listens; `undefined` while it does not. */
  readonly address: () => AddressInfo | undefined;
  /** Closes the port and all connections. */
  readonly close: () => Promise<void>;
}

/** More scrapers than a node has; their memory stays bounded. */
const maxConnections = 64;
const headersTimeoutMs = 5_000;

/**
 * Serves metrics over HTTP; answers after the first attempt to listen. A port that is taken must not end a node's runtime: it is logged as an
 * error, and tried again until it can be had.
 */
export async function serveMetrics(
  options: MetricsServerOptions,
  deps: { readonly log: Log; readonly sources: AnswerSources },
): Promise<MetricsServer> {
  const { host, port, retryMs = 10_000, idleMs = 10_000 } = options;
  const { log } = deps;
  const server = createServer(
    {
      maxHeaderSize: 8_192,
      headersTimeout: headersTimeoutMs,
      requestTimeout: 2 * headersTimeoutMs,
      connectionsCheckingInterval: headersTimeoutMs,
    },
    (request, response) => void handle(request, response, deps),
  );
  server.maxConnections = maxConnections;
  server.setTimeout(idleMs);
  let retry: NodeJS.Timeout | undefined;
  let isClosed = false;
  let told = '';

  async function attempt(): Promise<void> {
    const error = await listen(server, { host, port });
    if (isClosed) return;
    if (!error) {
      log.info({ ...addressOf(server) }, 'metrics are served');
      return;
    }
    const problem = messageOf(error);
    if (problem !== told) log.error({ host, port, problem, retryMs }, 'metrics cannot be served; the address is tried again');
    told = problem;
    retry = setTimeout(() => void attempt(), retryMs);
    retry.unref();
  }

  await attempt();
  return {
    address: () => addressOf(server),
    close: async () => {
      isClosed = true;
      clearTimeout(retry);
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve()); // its error says that it did not listen
      server.closeAllConnections();
      await closed.promise;
    },
  };
}

async function listen(server: Server, where: { host: string; port: number }): Promise<Error | undefined> {
  const { promise, resolve } = Promise.withResolvers<Error | undefined>();
  const onListening = (): void => resolve(undefined);
  server.once('error', resolve);
  server.once('listening', onListening);
  server.listen(where);
  const error = await promise;
  server.off('error', resolve);
  server.off('listening', onListening);
  return error;
}

function addressOf(server: Server): AddressInfo | undefined {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address : undefined;
}

/** Each request by itself: a client that reads slowly keeps its own answer waiting, and nothing else. */
async function handle(request: IncomingMessage, response: ServerResponse, deps: { log: Log; sources: AnswerSources }): Promise<void> {
  request.resume(); // a body is of no interest
  const { status, body, headers } = await answer(request, deps);
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store' });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function answer(request: IncomingMessage, { log, sources }: { log: Log; sources: AnswerSources }): Promise<Answer> {
  try {
    return await answerTo(request.method ?? '', request.url ?? '', sources);
  } catch (error) {
    log.error({ error: messageOf(error) }, 'metrics could not be gathered');
    return text(500, 'metrics could not be gathered; the log says why\n');
  }
}
