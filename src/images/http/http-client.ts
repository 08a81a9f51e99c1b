import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { vmletVersion } from '../../lib/version.ts';
import { PullProblem } from '../failures.ts';
import { mayConnect, rangeOf, type Network } from './address-rules.ts';
import { httpGet, type Resolver } from './http-get.ts';
import { redirectTarget, shown } from './http-rules.ts';
import { makeAgents, type Transport } from './transport.ts';

/** One request, before redirects. */
export interface HttpRequest {
  /** Default GET; redirects of a POST are not followed. */
  readonly method?: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** The `Authorization` field; goes to the url's own origin alone. */
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
  /** Range of the first host's address, for urls that its answers name. */
  readonly range: string;
  readonly response: IncomingMessage;
  /** What went wrong on the connection since the answer began, also behind the body. */
  readonly connectionError: () => Error | undefined;
}

/** Requests over connections that are kept open; dispose to close them. */
export interface HttpClient extends Disposable {
  /**
   * Sends and follows redirects: never to another protocol than https (http from http), never into a network that the first host is not in,
   * never with credentials to another origin. Throws `PullProblem` or the signal's reason; any status but a redirect is an answer.
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
    let range: string | undefined;
    for (let { url } = request; ;) {
      if (seen.has(url.href)) throw new PullProblem('redirects', `${shown(request.url)} redirects in a circle`);
      if (seen.size > transport.maxRedirects)
        throw new PullProblem('redirects', `${shown(request.url)} redirects more than ${transport.maxRedirects} times`);
      seen.add(url.href);
      const isOrigin = url.origin === request.url.origin;
      const context = {
        isNamed: request.isConfigured && range === undefined && isAddressOrLocalhost(url),
        referredFrom: range ?? request.referredFrom,
        allowed: allowedNetworks,
      };
      const { response, address, connectionError } = await httpGet(
        {
          method,
          url,
          body: request.body,
          headers: {
            'user-agent': `vmlet/${vmletVersion}`,
            accept: '*/*',
            'accept-encoding': 'identity',
            ...request.headers,
            ...(isOrigin && request.authorization !== undefined ? { authorization: request.authorization } : {}),
          },
          mayConnect: (each) => mayConnect(each, context),
          agent: url.protocol === 'https:' ? agents.https : agents.http,
          connectTimeoutMs: transport.connectTimeoutMs,
          resolver,
        },
        signal,
      );
      range ??= rangeOf(address);
      const status = response.statusCode ?? 0;
      if (method === 'POST' || !redirects.has(status)) return { status, headers: response.headers, url, range, response, connectionError };
      response.destroy();
      url = redirectTarget(url, response.headers.location);
    }
  }

  return {
    send,
    [Symbol.dispose]: () => {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

function isAddressOrLocalhost({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname.startsWith('[') || /^[0-9.]+$/.test(hostname);
}
