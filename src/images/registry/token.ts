import { z } from 'zod';
import { parseBoundedJson } from '../bounded-json.ts';
import type { Challenge } from './challenge.ts';
import { basicAuthorization } from '../http/http-rules.ts';
import type { Credentials } from './credentials.ts';
import { PullProblem } from '../failures.ts';
import type { HttpRequest } from '../http/http-client.ts';
import { quoted } from '../quoted.ts';

/** How a token is asked for. */
export type TokenRequest = Pick<HttpRequest, 'method' | 'url' | 'headers' | 'authorization' | 'body'>;

/** What is asked for: to pull from one repository of a registry. */
export interface TokenWish {
  readonly challenge: Challenge;
  readonly registry: URL;
  readonly repository: string;
  readonly credentials: Credentials | undefined;
}

const clientId = 'vmlet';

/**
 * The request for a token that a `Bearer` challenge wants: GET, with user and password if there are any; POST for a refresh token. Throws
 * `PullProblem` for a realm that is no address, or without TLS where the registry has it. Sources: the distribution project's token and oauth2 pages.
 */
export function tokenRequest({ challenge, registry, repository, credentials }: TokenWish): TokenRequest {
  const url = realmOf(challenge, registry);
  const service = challenge.params.get('service');
  const fields = {
    ...(service === undefined ? {} : { service }),
    scope: pullScope(challenge.params.get('scope'), repository),
    client_id: clientId,
  };
  if (credentials?.kind === 'refresh-token') {
    const body = new URLSearchParams({ grant_type: 'refresh_token', ...fields, refresh_token: credentials.token });
    return { method: 'POST', url, headers: { accept: json, 'content-type': 'application/x-www-form-urlencoded' }, body: body.toString() };
  }
  for (const [name, value] of Object.entries(fields)) url.searchParams.set(name, value);
  const authorization = credentials?.kind === 'basic' ? basicAuthorization(credentials) : undefined;
  return { method: 'GET', url, headers: { accept: json }, authorization };
}

const json = 'application/json';

/**
 * The scope to pull from the repository. Behind a path of its own (`override_path`) a registry knows it by a longer name, which its challenge
 * says; a challenge for another repository, or for more than to pull, is not followed.
 */
export function pullScope(challenged: string | undefined, repository: string): string {
  const name = /^repository:([^: ]+):[^: ]+$/.exec(challenged ?? '')?.[1];
  return `repository:${name?.endsWith(`/${repository}`) === true ? name : repository}:pull`;
}

function realmOf({ params }: Challenge, registry: URL): URL {
  const realm = params.get('realm') ?? '';
  const problem = (what: string): PullProblem =>
    new PullProblem('auth', `${registry.host} sends us for a token to ${quoted(realm)}, which ${what}`);
  if (!URL.canParse(realm)) throw problem('is no address');
  const url = new URL(realm);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw problem('is no https:// address');
  if (url.protocol === 'http:' && registry.protocol === 'https:') throw problem('is an address without TLS');
  if (url.username !== '' || url.password !== '') throw problem('holds a user or password');
  url.hash = '';
  return url;
}

/** A token and how long it may be used, milliseconds from its arrival. */
export interface Token {
  readonly value: string;
  readonly lifetimeMs: number;
}

const leastLifetimeS = 60; // what the token page promises to clients that know no expires_in
const longestLifetimeS = 24 * 3600;

const tokenAnswer = z.object({
  token: z.string().optional(),
  access_token: z.string().optional(),
  expires_in: z.number().optional().catch(undefined),
});

/** Reads a token server's answer; `undefined` for what is none. */
export function parseToken(body: Buffer): Token | undefined {
  const result = tokenAnswer.safeParse(parseBoundedJson(body));
  if (!result.success) return undefined;
  const { token, access_token: accessToken, expires_in: expiresIn = leastLifetimeS } = result.data;
  const value = token || accessToken || '';
  if (!/^[\x21-\x7e]+$/.test(value)) return undefined;
  const seconds = Math.min(Math.max(expiresIn, leastLifetimeS), longestLifetimeS);
  return { value, lifetimeMs: seconds * 1000 };
}
