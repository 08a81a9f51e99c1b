import { Agent as HttpAgent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';

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

/** Connections of one client, kept open between its requests; dispose to close them. */
export interface Agents extends Disposable {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

/** Opens nothing yet. */
export function makeAgents({ proxy, tls }: Transport): Agents {
  const common: AgentOptions = {
    keepAlive: true,
    ...(proxy === undefined ? {} : { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: '' } }),
  };
  const http = new HttpAgent(common);
  const https = new HttpsAgent({
    ...common,
    secureContext: contextOf(tls),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    rejectUnauthorized: tls.skipVerify !== true,
  });
  const closeTunnels = trackConnections(https);
  return {
    http,
    https,
    [Symbol.dispose]: () => {
      http.destroy();
      https.destroy();
      closeTunnels();
    },
  };
}

/** An agent knows a connection through a proxy only when TLS is up: one that never gets there would stay open. */
function trackConnections(agent: HttpsAgent): () => void {
  const open = new Set<Duplex>();
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, done) => {
    const socket = connect(options, done);
    if (socket) {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    }
    return socket;
  };
  return () => {
    for (const socket of open) socket.destroy();
  };
}

const contexts = new WeakMap<TlsSettings, SecureContext>();
let plainContext: SecureContext | undefined;

/** Made once for settings: to read some hundred certificates takes 10 ms of the event loop's time, and each connection would do it again. */
function contextOf(tls: TlsSettings): SecureContext {
  if (tls.ca === undefined && tls.certificates === undefined)
    return (plainContext ??= createSecureContext({ ca: [...systemCertificates()] }));
  const known = contexts.get(tls);
  if (known) return known;
  const { ca = [], certificates = [] } = tls;
  const context = createSecureContext({
    ca: [...systemCertificates(), ...ca],
    ...(certificates.length === 0 ? {} : { cert: certificates.map(({ cert }) => cert), key: certificates.map(({ key }) => key) }),
  });
  contexts.set(tls, context);
  return context;
}

let system: readonly string[] | undefined;

/** Node's own and what the node's administrator has installed (update-ca-certificates), each once; read once. */
function systemCertificates(): readonly string[] {
  system ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
  return system;
}
