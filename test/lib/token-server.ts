import { randomUUID, sign, X509Certificate } from 'node:crypto';
import { makeAuthority } from './certificates.ts';
import { startDouble, type RegistryDouble } from './registry-double.ts';

/** A token server whose tokens Debian's docker-registry accepts (`auth: token`). */
export interface TokenServer extends RegistryDouble {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** The authority under which tokens are signed. */
  readonly certFile: string;
  /** A token of one's own, for tests that push. */
  readonly mint: (repository: string, actions: readonly string[], lifetimeS?: number) => string;
  /** What its answers say and hold from now on. */
  readonly setLifetime: (token: { readonly expiresInS: number; readonly validForS: number }) => void;
}

/** Who may have a token; default anybody. */
export interface TokenRules {
  readonly user?: { readonly username: string; readonly password: string };
  readonly refreshToken?: string;
}

/** Starts one on loopback. Closed when the running test ends. */
export async function startTokenServer(rules: TokenRules = {}): Promise<TokenServer> {
  const authority = makeAuthority();
  const server = await startDouble();
  const [service, issuer] = ['a registry', 'a token server'];
  let lifetime = { expiresInS: 300, validForS: 300 };

  const mint: TokenServer['mint'] = (name, actions, lifetimeS = 300) => {
    const now = Math.floor(Date.now() / 1000);
    const der = new X509Certificate(authority.cert).raw.toString('base64');
    const claims = { iss: issuer, sub: 'tester', aud: service, iat: now, nbf: now - 10, exp: now + lifetimeS, jti: randomUUID() };
    const signed = [
      { typ: 'JWT', alg: 'ES256', x5c: [der] },
      { ...claims, access: [{ type: 'repository', name, actions }] },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = sign('sha256', Buffer.from(signed), { key: authority.key, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  };

  server.answer('/token', ({ method, query, headers, body }, response) => {
    const fields = method === 'POST' ? new URLSearchParams(body) : query;
    const { user, refreshToken } = rules;
    const basic = user && `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`;
    const isBasic = method === 'GET' && refreshToken === undefined && headers.authorization === basic;
    const isRefresh = method === 'POST' && fields.get('grant_type') === 'refresh_token' && fields.get('refresh_token') === refreshToken;
    const [, name = '', actions = ''] = /^repository:([^:]+):(.+)$/.exec(fields.get('scope') ?? '') ?? [];
    if (!isBasic && !isRefresh) {
      response.writeHead(401, { 'content-type': 'application/json' }).end('{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}');
      return;
    }
    const token = mint(name, actions.split(','), lifetime.validForS);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ [isRefresh ? 'access_token' : 'token']: token, expires_in: lifetime.expiresInS }));
  });

  return {
    ...server,
    realm: `${server.url}/token`,
    service,
    issuer,
    certFile: authority.certFile,
    mint,
    setLifetime: (set) => void (lifetime = set),
  };
}
