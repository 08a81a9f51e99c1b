import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { vmletVersion } from '../../lib/version.ts';
import { PullProblem } from '../failures.ts';
import { mayConnect, publicRange, rangeOf, type Network } from './address-rules.ts';
import { httpGet, type Resolver } from './http-get.ts';
import { redirectTarget, shown } from './http-rules.ts';
import { makeAgents, type Transport } from './transport.ts';

/** One request, before redirects. */
export interface HttpRequest {
  /** Default GET; redirects of a POST are not followed. */
  readonly method?: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  /** Go wherever redirects lead: nothing secret. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Go to the url's own origin alone. */
  readonly originHeaders?: Readonly<Record<string, string>> | undefined;
  /** The `Authorization` field; goes to the url's own origin alone, and not back to it from another. */
  readonly authorization?: string | undefined;
  readonly body?: string | undefined;
  /** Whether the operator wrote the url's host; a pod's author or another server did otherwise. */
  readonly isConfigured: boolean;
  /** Range (see `rangeOf`) of the server that named this url, such as a registry its token server. */
  readonly referredFrom?: string | undefined;
}

/** The answer that was no redirect, its body unread; destroy `response` when done. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Where it came from. */
  readonly url: URL;
  /** Range of the address that it came from, `public` after redirects through several: for urls that the answer names. */
  readonly range: string;
  readonly response: IncomingMessage;
  /** What went wrong on the connection since the answer began, also behind the body. */
  readonly connectionError: () => Error | undefined;
}

/** Requests over connections that are kept open; dispose to close them. */
export interface HttpClient extends Disposable {
  /**
   * Sends and follows redirects: never to another protocol than https (http from http), never into a network that a host before was not in,
   * never with credentials to another origin. Through a proxy only addresses that are written as such are judged. Throws `PullProblem` or the signal's reason; any status but a redirect is an answer.
   */
  readonly send: (request: HttpRequest, signal: AbortSignal) => Promise<HttpAnswer>;
}

/** What a client is made with. */
export interface HttpClientOptions {
  readonly transport: Transport;
  readonly allowedNetworks: readonly Network[];
  readonly resolver?: Resolver | undefined;
}

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Makes a client; it connects when it sends. */
export function makeHttpClient({ transport, allowedNetworks, resolver }: HttpClientOptions): HttpClient {
  const agents = makeAgents(transport);

  async function send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const { method = 'GET' } = request;
    const seen = new Set<string>();
    let isAtOrigin = true;
    let range = request.referredFrom;
    for (let { url } = request; ;) {
      if (seen.has(url.href)) throw new PullProblem('redirects', `${shown(request.url)} redirects in a circle`);
      if (seen.size > transport.maxRedirects)
        throw new PullProblem('redirects', `${shown(request.url)} redirects more than ${transport.maxRedirects} times`);
      const isNamed = request.isConfigured && seen.size === 0 && isAddressOrLocalhost(url);
      seen.add(url.href);
      isAtOrigin &&= url.origin === request.url.origin;
      const context = { isNamed, referredFrom: range, allowed: allowedNetworks };
      const { response, address, connectionError } = await httpGet(
        {
          method,
          url,
          body: request.body,
          headers: fieldsOf(request, isAtOrigin),
          mayConnect: (each) => mayConnect(each, context),
          agent: url.protocol === 'https:' ? agents.https : agents.http,
          viaProxy: transport.proxy !== undefined,
          connectTimeoutMs: transport.connectTimeoutMs,
          answerTimeoutMs: transport.stallTimeoutMs,
          resolver,
        },
        signal,
      );
      range = rangeAfter(range, rangeOf(address));
      const status = response.statusCode ?? 0;
      if (method === 'POST' || !redirects.has(status)) return { status, headers: response.headers, url, range, response, connectionError };
      response.destroy();
      url = redirectTarget(url, response.headers.location);
    }
  }

  return {
    send,
    [Symbol.dispose]: () => agents[Symbol.dispose](),
  };
}

function fieldsOf({ headers, originHeaders, authorization }: HttpRequest, isAtOrigin: boolean): Readonly<Record<string, string>> {
  return {
    'user-agent': `vmlet/${vmletVersion}`,
    accept: '*/*',
    'accept-encoding': 'identity',
    ...headers,
    ...(isAtOrigin ? originHeaders : {}),
    ...(isAtOrigin && authorization !== undefined ? { authorization } : {}),
  };
}

/** Of two networks in a chain neither may be entered again: a server in between could be anybody's. */
function rangeAfter(before: string | undefined, reached: string): string {
  return before === undefined || before === reached ? reached : publicRange;
}

function isAddressOrLocalhost({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname.startsWith('[') || /^[0-9.]+$/.test(hostname);
}
