import { Agent as HttpAgent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { getCACertificates } from 'node:tls';

/** How servers are reached: what an operator sets for a mapping or a registry host, compiled once. PEM texts, not file names. */
export interface Transport {
  /** Longest wait for a connection (TCP, TLS, proxy), milliseconds. */
  readonly connectTimeoutMs: number;
  /** Longest time without a byte, milliseconds. */
  readonly stallTimeoutMs: number;
  readonly maxRedirects: number;
  /** `http://[user:password@]host:port`; the names of hosts are then resolved by the proxy, and only addresses written as such are judged here. */
  readonly proxy?: string | undefined;
  readonly tls: TlsSettings;
}

/** TLS of a transport. */
export interface TlsSettings {
  /** Trusted beside the system's and Node's own. */
  readonly ca?: readonly string[] | undefined;
  /** Client certificates with their keys. */
  readonly certificates?: readonly { readonly cert: string; readonly key: string }[] | undefined;
  /** The name that the server's certificate must have, in place of the host's. */
  readonly serverName?: string | undefined;
  /** Trusts any certificate. */
  readonly skipVerify?: boolean | undefined;
}

/** What is used where nothing is configured. */
export const plainTransport: Transport = { connectTimeoutMs: 30_000, stallTimeoutMs: 60_000, maxRedirects: 5, tls: {} };

/** Connections of one client, kept open between its requests. */
export interface Agents {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

/** Opens nothing yet; destroy both when done. */
export function makeAgents({ proxy, tls }: Transport): Agents {
  const common: AgentOptions = {
    keepAlive: true,
    ...(proxy === undefined ? {} : { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: '' } }),
  };
  return {
    http: new HttpAgent(common),
    https: new HttpsAgent({
      ...common,
      ca: [...systemCertificates(), ...(tls.ca ?? [])],
      ...(tls.certificates === undefined
        ? {}
        : { cert: tls.certificates.map(({ cert }) => cert), key: tls.certificates.map(({ key }) => key) }),
      ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
      rejectUnauthorized: tls.skipVerify !== true,
    }),
  };
}

let system: readonly string[] | undefined;

/** Node's own and what the node's administrator has installed (update-ca-certificates); read once. */
function systemCertificates(): readonly string[] {
  system ??= [...getCACertificates('default'), ...getCACertificates('system')];
  return system;
}
