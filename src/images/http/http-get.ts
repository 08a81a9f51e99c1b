import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { request as httpRequest, type Agent, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import { isErrno, messageOf } from '../../lib/errno.ts';
import { PullProblem } from '../failures.ts';
import { shown } from './http-rules.ts';

/** Answers all addresses of a host name, as node:dns' `lookup` with `all`. */
export type Resolver = (hostname: string, done: (error: Error | null, addresses: readonly LookupAddress[]) => void) => void;

/** One request to one server. */
export interface GetRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly agent: Agent;
  /** Longest wait for a connection, milliseconds. */
  readonly connectTimeoutMs: number;
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

/** Sends one request. Throws `PullProblem` (connection, certificate, address-forbidden) or the signal's reason. */
export async function httpGet(get: GetRequest, signal: AbortSignal): Promise<GetAnswer> {
  const { url, mayConnect } = get;
  const forbidden = (address: string): PullProblem =>
    new PullProblem(
      'address-forbidden',
      `${shown(url)} leads to ${address}, which may not be connected to from there: name it in images.allowedNetworks if it may`,
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
    method: get.method,
    headers: get.headers,
    agent: get.agent,
    signal,
    lookup: guardedLookup(get, forbidden),
  });
  const slow = setTimeout(() => {
    request.destroy(new PullProblem('connection', `${shown(url)}: no connection within ${get.connectTimeoutMs} ms`));
  }, get.connectTimeoutMs);
  request.once('close', () => clearTimeout(slow));
  request.once('socket', (socket: Socket) => {
    const check = (): void => {
      clearTimeout(slow);
      const connected = socket.remoteAddress ?? '';
      if (mayConnect(connected)) address.resolve(connected);
      else request.destroy(forbidden(connected));
    };
    if (socket.connecting) socket.once('connect', check);
    else check();
  });
  let connectionError: Error | undefined;
  request.on('error', (error) => (connectionError = error));
  request.end(get.body);
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
