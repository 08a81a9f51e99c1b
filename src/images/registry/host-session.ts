import { PullProblem } from '../failures.ts';
import type { Network } from '../http/address-rules.ts';
import { makeHttpClient, type HttpAnswer, type HttpClient } from '../http/http-client.ts';
import type { Resolver } from '../http/http-get.ts';
import { httpBlobSource } from '../http/http-source.ts';
import type { BlobRequest, BlobSource } from '../transfer/blob-source.ts';
import { problemOf, statusProblem, type Asked, type ProblemHead } from './answer-problem.ts';
import { challengeOf, makeAuthorizer } from './authorizer.ts';
import { withCertificateHint } from './certificate-hint.ts';
import type { Credentials } from './credentials.ts';
import type { RegistryHost } from './registry-host.ts';
import { apiHostOf } from './repository-name.ts';

/** One repository at one of its hosts; dispose to close the connections. */
export interface HostSession extends Disposable {
  readonly host: RegistryHost;
  /** A successful answer to GET below the repository, its body unread. Throws `PullProblem` for any other status, `NotFound` for 404. */
  readonly get: (path: string, request: { readonly accept: string; readonly what: string }, signal: AbortSignal) => Promise<HttpAnswer>;
  /** The blob with this digest, as far as this host has it; sizes and digest are the reader's to judge. */
  readonly blob: (digest: string) => BlobSource;
}

/** What a session is made with. */
export interface HostSessionOptions {
  readonly host: RegistryHost;
  /** The registry that the reference names. */
  readonly registry: string;
  readonly repository: string;
  readonly credentials: Credentials | undefined;
  readonly allowedNetworks: readonly Network[];
  readonly resolver?: Resolver | undefined;
}

/** Makes a session; it connects when it is asked. */
export function makeHostSession(options: HostSessionOptions): HostSession {
  const { host, registry, repository, credentials, allowedNetworks, resolver } = options;
  const client = makeHttpClient({ transport: host.transport, allowedNetworks, resolver });
  const authorizer = makeAuthorizer({ registry: host.url, repository, credentials }, client);
  const { hasCredentials } = authorizer;

  function urlOf(path: string): URL {
    const url = new URL(host.url);
    url.pathname = `${url.pathname.replace(/\/$/, '')}/${repository}/${path}`;
    if (url.host !== apiHostOf(registry)) url.searchParams.set('ns', registry); // which of the registries that it mirrors is meant
    return url;
  }

  async function send(
    request: { readonly method: 'GET' | 'HEAD'; readonly path: string; readonly accept: string },
    signal: AbortSignal,
  ): Promise<{ readonly answer: HttpAnswer; readonly sent: string | undefined }> {
    const { method, path, accept } = request;
    const authorization = await authorizer.authorization(signal);
    const { isConfigured, headers: originHeaders } = host;
    const url = urlOf(path);
    const answer = await client.send({ method, url, isConfigured, authorization, originHeaders, headers: { accept } }, signal);
    return { answer, sent: authorization };
  }

  /** Takes a 401 to heed, if the host itself answered so: whoever it redirected to has no say in where credentials go. */
  function heed(answer: HttpAnswer): boolean {
    if (answer.status !== 401 || answer.url.origin !== host.url.origin) return false;
    const challenge = challengeOf(answer.headers['www-authenticate'], host.url);
    if (challenge) authorizer.demanded({ challenge, range: answer.range });
    return challenge !== undefined;
  }

  async function sendAuthorized(path: string, accept: string, signal: AbortSignal): Promise<HttpAnswer> {
    const { answer, sent } = await send({ method: 'GET', path, accept }, signal);
    if (answer.status !== 401) return answer;
    try {
      if (!heed(answer) || !(await authorizer.refused(sent, signal))) return answer;
    } catch (error) {
      answer.response.destroy();
      throw error;
    }
    answer.response.destroy();
    return (await send({ method: 'GET', path, accept }, signal)).answer;
  }

  /** Asks for the blob without its bytes when it is not yet known what the host wants: a blob's own 401 may be of another server. */
  async function learnDemand(path: string, signal: AbortSignal): Promise<void> {
    const { answer } = await send({ method: 'HEAD', path, accept: '*/*' }, signal);
    answer.response.destroy();
    heed(answer);
  }

  async function openBlob(path: string, asked: Asked, request: BlobRequest, signal: AbortSignal): ReturnType<BlobSource['open']> {
    let sent: string | undefined;
    let refusal: ProblemHead | undefined;
    const watched: HttpClient = {
      send: async (each, inner) => {
        const answer = await client.send({ ...each, originHeaders: host.headers }, inner);
        const { status, url } = answer;
        refusal = refusals.has(status) ? { status, url } : undefined;
        return answer;
      },
      [Symbol.dispose]: () => undefined,
    };
    const source = httpBlobSource(watched, {
      url: urlOf(path),
      isConfigured: host.isConfigured,
      authorize: async (inner) => (sent = await authorizer.authorization(inner)),
      onUnauthorized: async (_challenge, inner) => {
        const refused = refusal;
        refusal = undefined; // what the token server says is another matter
        if (!authorizer.knowsDemand()) await learnDemand(path, inner);
        const mayAskAgain = await authorizer.refused(sent, inner);
        refusal = refused;
        return mayAskAgain;
      },
    });
    try {
      return await source.open(request, signal);
    } catch (error) {
      throw refusal && error instanceof PullProblem ? statusProblem(refusal, asked, '') : error;
    }
  }

  return {
    host,
    get: async (path, { accept, what }, signal) =>
      withCertificateHint(host, async () => {
        const answer = await sendAuthorized(path, accept, signal);
        if (answer.status === 200) return answer;
        throw await problemOf(answer, { what, hasCredentials }, signal);
      }),
    blob: (digest) => {
      const path = `blobs/${digest}`;
      const asked = { what: `blob ${digest} of ${repository}`, hasCredentials };
      return {
        name: `${host.url.host}/${repository}@${digest}`,
        open: async (request, signal) => withCertificateHint(host, async () => openBlob(path, asked, request, signal)),
      };
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

const refusals: ReadonlySet<number> = new Set([401, 403, 404]);
