import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import { isErrno, messageOf } from '../../lib/errno.ts';
import { PullProblem } from '../failures.ts';
import { shown } from './http-rules.ts';

/** Answers all addresses of a host name, as node:dns' `lookup` with `all`. */
export type Resolver = (hostname: string, done: (error: Error | null, addresses: readonly LookupAddress[]) => void) => void;

/** One GET. */
export interface GetRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** `user:password` for the Authorization header. */
  readonly credentials: string | undefined;
  /** Whether this address may be connected to; asked before a connection is made, and of the connection itself. */
  readonly mayConnect: (address: string) => boolean;
  readonly resolver?: Resolver | undefined;
}

/** An answer whose body has not been read. */
export interface GetAnswer {
  /** What went wrong on the connection since the answer began, also behind the body. */
  readonly connectionError: () => Error | undefined;
  readonly response: IncomingMessage;
  /** The address that was connected to. */
  readonly address: string;
}

/** Sends one GET on a connection of its own. Throws `PullProblem` (connection, certificate, address-forbidden) or the signal's reason. */
export async function httpGet(get: GetRequest, signal: AbortSignal): Promise<GetAnswer> {
  const { url, mayConnect } = get;
  const forbidden = (address: string): PullProblem =>
    new PullProblem(
      'address-forbidden',
      `a redirect to ${shown(url)} leads to ${address}, inside a network that the configured host is not in`,
    );
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !mayConnect(host)) throw forbidden(host);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const address = Promise.withResolvers<string>();
  const request = send({
    protocol: url.protocol,
    hostname: host,
    port: url.port,
    path: `${url.pathname}${url.search}`,
    method: 'GET',
    headers: get.headers,
    agent: false,
    signal,
    lookup: guardedLookup(get, forbidden),
    ...(get.credentials === undefined ? {} : { auth: get.credentials }),
  });
  request.once('socket', (socket: Socket) => {
    socket.once('connect', () => {
      const connected = socket.remoteAddress ?? '';
      if (mayConnect(connected)) address.resolve(connected);
      else request.destroy(forbidden(connected));
    });
  });
  let connectionError: Error | undefined;
  request.on('error', (error) => (connectionError = error));
  request.end();
  try {
    const response = await answerOf(request);
    return { connectionError: () => connectionError, response, address: await address.promise };
  } catch (error) {
    throw asPullProblem(error, url, signal);
  }
}

/** The room's error for one of the network: never a system error, so that a disk's errors stay apart. */
export function asPullProblem(error: unknown, url: URL, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof PullProblem) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (/^(CERT_|ERR_TLS|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_SSL)/.test(code)) {
    return new PullProblem('certificate', `${shown(url)}: the server's certificate is not trusted (${code})`, { cause: error });
  }
  const what = isErrno(error, 'ECONNREFUSED') ? 'the connection is refused' : `the connection fails: ${causeOf(error)}`;
  return new PullProblem('connection', `${shown(url)}: ${what}`, { cause: error });
}

/** With several addresses tried, Node's error has the reasons inside and no message of its own. */
function causeOf(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : messageOf(error);
}

async function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('error', reject);
    request.once('response', resolve);
  });
}

function guardedLookup(get: GetRequest, forbidden: (address: string) => PullProblem): LookupFunction {
  const resolver = get.resolver ?? resolveBySystem;
  return (hostname, options, done) => {
    resolver(hostname, (error, addresses) => {
      const [first] = addresses;
      const bad = addresses.find((each) => !get.mayConnect(each.address));
      if (error) done(error, [], 0);
      else if (bad) done(forbidden(bad.address), [], 0);
      else if (!first) done(new Error(`${hostname} has no address`), [], 0);
      else if (options.all === true) done(null, [...addresses], 0);
      else done(null, first.address, first.family);
    });
  };
}

const resolveBySystem: Resolver = (hostname, done) => {
  systemLookup(hostname, { all: true }, (error, addresses) => done(error, error ? [] : addresses));
};
