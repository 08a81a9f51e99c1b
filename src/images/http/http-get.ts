import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { request as httpRequest, type Agent, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { PullProblem } from '../failures.ts';
import { shown } from './http-rules.ts';
import { asPullProblem } from './network-problem.ts';

export { asPullProblem } from './network-problem.ts';

/** Answers all addresses of a host name, as node:dns' `lookup` with `all`. */
export type Resolver = (hostname: string, done: (error: Error | null, addresses: readonly LookupAddress[]) => void) => void;

/** One request to one server. */
export interface GetRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly agent: Agent;
  /** Whether the agent asks a proxy: what it connects to is then the operator's choice, and a host's name is resolved elsewhere. */
  readonly viaProxy: boolean;
  /** Longest wait for a connection with all that belongs to it (name, TCP, proxy, TLS), milliseconds. */
  readonly connectTimeoutMs: number;
  /** Longest time from there to the answer's header fields, milliseconds, however slowly they come. */
  readonly answerTimeoutMs: number;
  /** Whether this address may be connected to; asked before a connection is made, and of the connection itself. */
  readonly mayConnect: (address: string) => boolean;
  readonly resolver?: Resolver | undefined;
}

/** An answer whose body has not been read. */
export interface GetAnswer {
  /** What went wrong on the connection since the answer began, also behind the body. */
  readonly connectionError: () => Error | undefined;
  readonly response: IncomingMessage;
  /** The address that was connected to; through a proxy the one in the url, or empty where a name stands there. */
  readonly address: string;
}

/** Largest header of an answer, bytes: signed addresses in redirects are of several KiB. */
const maxHeaderSize = 16 * 1024;

/** Sends one request. Throws `PullProblem` (connection, certificate, address-forbidden, answer, stalled) or the signal's reason. */
export async function httpGet(get: GetRequest, signal: AbortSignal): Promise<GetAnswer> {
  const { url, mayConnect, viaProxy } = get;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const written = addressIn(host, viaProxy);
  if (written !== undefined && !mayConnect(written)) throw forbidden(url, host);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const request = send({
    protocol: url.protocol,
    hostname: host,
    port: url.port,
    path: `${url.pathname}${url.search}`,
    method: get.method,
    headers: get.headers,
    agent: get.agent,
    signal,
    maxHeaderSize,
    ...(viaProxy ? { timeout: get.connectTimeoutMs } : { lookup: guardedLookup(get) }), // a proxy that does not answer is hung up on
  });
  const answer = Promise.withResolvers<IncomingMessage>();
  // A request whose proxy is still at work on the connection tells nobody that it was destroyed.
  const end = (reason: Error): void => {
    request.destroy(reason);
    answer.reject(reason);
  };
  const onAbort = (): void => answer.reject(signal.reason);
  signal.addEventListener('abort', onAbort);
  const connection = watchConnection(request, get, end);
  let connectionError: Error | undefined;
  request.on('error', (error) => {
    connectionError = error;
    answer.reject(error);
  });
  request.once('response', answer.resolve);
  request.end(get.body);
  try {
    const response = await answer.promise;
    return { connectionError: () => connectionError, response, address: viaProxy ? (written ?? '') : connection.address() };
  } catch (error) {
    throw asPullProblem(error, url, signal);
  } finally {
    connection.stopWaiting();
    signal.removeEventListener('abort', onAbort);
  }
}

function forbidden(url: URL, address: string): PullProblem {
  return new PullProblem(
    'address-forbidden',
    `${shown(url)} leads to ${address}, which may not be connected to from there: name it in images.allowedNetworks if it may`,
  );
}

/** The address that a host is written as. Behind a proxy `localhost` is its own host. */
function addressIn(host: string, viaProxy: boolean): string | undefined {
  if (isIP(host) !== 0) return host;
  return viaProxy && /(^|\.)localhost\.?$/.test(host) ? '127.0.0.1' : undefined;
}

interface WatchedConnection {
  readonly address: () => string;
  readonly stopWaiting: () => void;
}

/** Judges the address that was connected to before anything is sent, on a connection that is used again too, and bounds the waits. */
function watchConnection(request: ClientRequest, get: GetRequest, end: (reason: Error) => void): WatchedConnection {
  const { url, connectTimeoutMs, answerTimeoutMs } = get;
  let address = '';
  const slowConnection = new PullProblem('connection', `${shown(url)}: no connection within ${connectTimeoutMs} ms`);
  let timer = setTimeout(end, connectTimeoutMs, slowConnection);
  const judge = (socket: Socket): void => {
    address = socket.remoteAddress ?? '';
    if (get.viaProxy) return;
    if (address === '') end(new PullProblem('connection', `${shown(url)}: the connection is closed at once`));
    else if (!get.mayConnect(address)) end(forbidden(url, address));
  };
  const connected = (): void => {
    clearTimeout(timer);
    timer = setTimeout(end, answerTimeoutMs, new PullProblem('stalled', `${shown(url)}: no answer within ${answerTimeoutMs} ms`));
  };
  request.once('socket', (socket: Socket) => {
    if (socket.destroyed) return; // its error follows
    if (!socket.connecting) {
      judge(socket);
      connected();
      return;
    }
    socket.once('connect', () => judge(socket));
    socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', connected);
  });
  return { address: () => address, stopWaiting: () => clearTimeout(timer) };
}

function guardedLookup(get: GetRequest): LookupFunction {
  const resolver = get.resolver ?? resolveBySystem;
  return (hostname, options, done) => {
    resolver(hostname, (error, addresses) => {
      const [first] = addresses;
      const bad = addresses.find((each) => !get.mayConnect(each.address));
      if (error) done(error, [], 0);
      else if (bad) done(forbidden(get.url, bad.address), [], 0);
      else if (!first) done(new Error(`${hostname} has no address`), [], 0);
      else if (options.all === true) done(null, [...addresses], 0);
      else done(null, first.address, first.family);
    });
  };
}

const resolveBySystem: Resolver = (hostname, done) => {
  systemLookup(hostname, { all: true }, (error, addresses) => done(error, error ? [] : addresses));
};
