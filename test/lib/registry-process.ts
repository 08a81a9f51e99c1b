import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** User and password of a registry that asks for them. */
export const registryUser = { username: 'tester', password: 's3cret' } as const;
const bcrypt = '$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK'; // of that password

/** How a registry of Debian's docker-registry package is run. */
export interface RegistryRun {
  /** An empty directory for its configuration and data. */
  readonly dir: string;
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly ca: string } | undefined;
  /** `basic`: `registryUser`; else a token server and the certificate that its tokens are signed under. */
  readonly auth?:
    | 'basic'
    | { readonly realm: string; readonly service: string; readonly issuer: string; readonly certFile: string }
    | undefined;
}

/** One call of its API. */
export interface RegistryCall {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | Readable;
}

/** An answer of its API, read to the end. */
export interface RegistryReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** A registry on loopback. */
export interface TestRegistry {
  /** `127.0.0.1:PORT`, as references name it. */
  readonly host: string;
  /** `http://127.0.0.1:PORT` or https. */
  readonly url: string;
  /** PEM of the authority of its certificate. */
  readonly ca: string | undefined;
  /** Answers a path below the registry or a whole address of it; never follows redirects. */
  readonly call: (path: string, call?: RegistryCall) => Promise<RegistryReply>;
}

/** Starts a registry on a free port and answers when it listens; `stop` ends it. Needs no vitest. */
export async function launchRegistry(run: RegistryRun): Promise<TestRegistry & { readonly stop: () => Promise<void> }> {
  const { dir, tls, auth } = run;
  const dataDir = join(dir, 'data');
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(join(dir, 'htpasswd'), `${registryUser.username}:${bcrypt}\n`);
  const file = join(dir, 'config.json'); // JSON is YAML
  writeFileSync(file, JSON.stringify(configOf(run, dataDir)));
  const child = spawn('docker-registry', ['serve', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  try {
    const host = await listening(child);
    const url = `${tls ? 'https' : 'http'}://${host}`;
    const authorization = auth === 'basic' ? basicOf(registryUser) : undefined;
    const call: TestRegistry['call'] = async (path, options = {}) =>
      send(new URL(path, url), { ...options, headers: { ...(authorization ? { authorization } : {}), ...options.headers } }, tls?.ca);
    return { host, url, ca: tls?.ca, call, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function basicOf({ username, password }: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function configOf({ dir, tls, auth }: RegistryRun, rootdirectory: string): unknown {
  return {
    version: '0.1',
    log: { level: 'info', formatter: 'json', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory }, delete: { enabled: true }, cache: { blobdescriptor: 'inmemory' } },
    http: {
      addr: '127.0.0.1:0',
      net: 'tcp',
      secret: 'of a test',
      ...(tls ? { tls: { certificate: tls.certFile, key: tls.keyFile } } : {}),
    },
    ...(auth === 'basic' ? { auth: { htpasswd: { realm: 'a test', path: join(dir, 'htpasswd') } } } : {}),
    ...(typeof auth === 'object'
      ? { auth: { token: { realm: auth.realm, service: auth.service, issuer: auth.issuer, rootcertbundle: auth.certFile } } }
      : {}),
  };
}

const startTimeoutMs = 30_000;

async function listening(child: ChildProcess): Promise<string> {
  if (!child.stderr) throw new Error('docker-registry has no output');
  const lines = createInterface(child.stderr);
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    const fail = (what: string): void => reject(new Error(`docker-registry ${what}: ${said.join('\n')}`));
    const timer = setTimeout(fail, startTimeoutMs, 'does not listen');
    child.once('error', reject);
    child.once('exit', () => fail('has ended'));
    lines.on('line', (line) => {
      if (said.length < 50) said.push(line);
      const host = /listening on (127\.0\.0\.1:[0-9]+)/.exec(line)?.[1];
      if (host === undefined) return;
      clearTimeout(timer);
      resolve(host);
    });
  });
}

async function send(url: URL, { method = 'GET', headers, body }: RegistryCall, ca: string | undefined): Promise<RegistryReply> {
  const { promise, resolve, reject } = Promise.withResolvers<RegistryReply>();
  const options = { method, headers, agent: false as const };
  const request = url.protocol === 'https:' ? httpsRequest(url, { ...options, ca }) : httpRequest(url, options);
  request.once('error', reject);
  request.once('response', (response) => {
    response.toArray().then((chunks: Buffer[]) => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
    }, reject);
  });
  if (body === undefined || Buffer.isBuffer(body)) request.end(body);
  else body.once('error', reject).pipe(request);
  return promise;
}
