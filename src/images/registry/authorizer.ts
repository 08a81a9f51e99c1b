import { makeSingleFlight } from '../../lib/single-flight.ts';
import { PullProblem } from '../failures.ts';
import type { HttpClient } from '../http/http-client.ts';
import { shown } from '../http/http-rules.ts';
import { readBody } from '../http/read-body.ts';
import { problemOf } from './answer-problem.ts';
import { parseChallenges, type Challenge } from './challenge.ts';
import { basicAuthorization } from '../http/http-rules.ts';
import type { Credentials } from './credentials.ts';
import { parseToken, tokenRequest } from './token.ts';

/** What a host asked for. */
export interface Demand {
  readonly challenge: Challenge;
  /** Of the host's address: where its token server may be. */
  readonly range: string;
}

/** Proves to one registry host that one repository may be pulled from. */
export interface Authorizer {
  /** The `Authorization` field to send now; asks for a new token where the one that we have is about to expire. */
  readonly authorization: (signal: AbortSignal) => Promise<string | undefined>;
  /** Keeps what the host itself asked for. */
  readonly demanded: (demand: Demand) => void;
  /** Whether the host has asked for anything yet. */
  readonly knowsDemand: () => boolean;
  /**
   * Gets what the host asked for, after it refused `sent`. False: nothing better is known. Throws `PullProblem` (auth, status, connection ...) when
   * the token server gives none, or the signal's reason.
   */
  readonly refused: (sent: string | undefined, signal: AbortSignal) => Promise<boolean>;
  readonly hasCredentials: boolean;
}

/** What an authorizer is made with. */
export interface AuthorizerOptions {
  /** Base of the registry's API. */
  readonly registry: URL;
  readonly repository: string;
  /** Those that may go to this host; `undefined` for none. */
  readonly credentials: Credentials | undefined;
}

interface KnownToken {
  /** The field that shows it. */
  readonly field: string;
  readonly renewAt: number;
}

const maxTokenBytes = 64 * 1024;

/**
 * Makes an authorizer. INVARIANTS: user and password are sent only after the host asked for them; of several requests that find the token
 * expired one asks for another and the rest wait for it; a token that was not the refused one is tried before another is asked for.
 */
export function makeAuthorizer(options: AuthorizerOptions, client: HttpClient): Authorizer {
  const { registry, repository, credentials } = options;
  const flights = makeSingleFlight({ whenAbandoned: 'cancel' });
  let demand: Demand | undefined;
  let token: KnownToken | undefined;

  async function askForToken({ challenge, range }: Demand, signal: AbortSignal): Promise<KnownToken> {
    const request = tokenRequest({ challenge, registry, repository, credentials });
    const answer = await client.send({ ...request, isConfigured: false, referredFrom: range }, signal);
    if (answer.status !== 200) {
      throw await problemOf(answer, { what: `a token for ${repository}`, hasCredentials: credentials !== undefined }, signal);
    }
    const parsed = parseToken(await readBody(answer, maxTokenBytes, signal));
    if (!parsed) throw new PullProblem('auth', `${shown(answer.url)} answers without a token`);
    const { value, lifetimeMs } = parsed;
    return { field: `Bearer ${value}`, renewAt: performance.now() + lifetimeMs - Math.min(30_000, lifetimeMs / 4) };
  }

  async function renew(known: Demand, signal: AbortSignal): Promise<KnownToken> {
    token = await flights.run('token', async (inner) => askForToken(known, inner), signal);
    return token;
  }

  return {
    authorization: async (signal) => {
      if (credentials?.kind === 'bearer') return `Bearer ${credentials.token}`;
      if (!demand) return undefined;
      if (demand.challenge.scheme === 'basic') return credentials?.kind === 'basic' ? basicAuthorization(credentials) : undefined;
      const isGood = token !== undefined && performance.now() < token.renewAt;
      return isGood ? token?.field : (await renew(demand, signal)).field;
    },
    demanded: (asked) => void (demand = asked),
    knowsDemand: () => demand !== undefined,
    refused: async (sent, signal) => {
      if (!demand || credentials?.kind === 'bearer') return false;
      if (demand.challenge.scheme === 'basic') return credentials?.kind === 'basic' && sent !== basicAuthorization(credentials);
      if (token === undefined || token.field === sent) await renew(demand, signal);
      return true;
    },
    hasCredentials: credentials !== undefined,
  };
}

/** What a `WWW-Authenticate` field asks for that we can give: Bearer before Basic; `undefined` when neither. Throws `PullProblem` (auth) for what cannot be read. */
export function challengeOf(field: string | undefined, registry: URL): Challenge | undefined {
  const challenges = field === undefined ? [] : parseChallenges(field);
  if (!challenges) throw new PullProblem('auth', `${registry.host} asks for authentication in a way that cannot be read`);
  return challenges.find(({ scheme }) => scheme === 'bearer') ?? challenges.find(({ scheme }) => scheme === 'basic');
}
