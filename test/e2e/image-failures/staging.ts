import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { waitFor } from '../../lib/wait.ts';
import type { TestRegistry } from '../../lib/registry-process.ts';
import type { Signer } from '../../lib/signing.ts';
import type { ImageAnswer, ImageServer } from '../../node/image-server.ts';
import type { TestNode } from '../../node/node.ts';

/** A pull that must fail. */
export interface Pull {
  readonly reference: string;
  readonly auth?: { readonly username: string; readonly password: string };
}

/** Makes a failure that the page documents, and answers what to pull. */
export type Stage = (at: Staging) => string | Pull | Promise<string | Pull>;

/** Failures by their words in the page. */
export type Failures = Readonly<Record<string, Stage>>;

/** A format as a mapping names it. */
export type MappedFormat = 'qcow2' | 'raw' | 'vmdk' | 'vdi';

const formats: readonly MappedFormat[] = ['qcow2', 'raw', 'vmdk', 'vdi'];

/** What failures are made with; what a failure needs for itself ends with the running test. */
export interface Staging {
  readonly node: TestNode;
  /** Debian's docker-registry. */
  readonly registry: TestRegistry;
  readonly files: StagedFiles;
  /** Serves a disk under a name of its own and answers the reference that leads there; `end` is the end of its URL. */
  readonly web: (answer: ImageAnswer | Uint8Array, how?: { readonly format?: MappedFormat; readonly end?: string }) => string;
  /** Maps a name of its own in a mapping file, has it read, and answers the reference. */
  readonly mapped: (source: Readonly<Record<string, unknown>>, transport?: Readonly<Record<string, unknown>>) => Promise<string>;
  /** Configures a registry host of its own by a hosts.toml and answers its name. */
  readonly host: (toml: string) => string;
  /** A repository's path that no other failure uses. */
  readonly repository: () => string;
  /** Has the daemon read mappings and policy again. */
  readonly reload: () => Promise<void>;
}

/** What lies on the node's disk before it starts. */
export interface StagedFiles {
  /** `file.example/NAME:1` leads here. */
  readonly localDir: string;
  /** Names under `signed.example` need a signature by `signer`, those under `refused.example` are refused. */
  readonly policyFile: string;
  readonly signer: Signer;
}

/** Hosts of the signature policy; both lead to the registry. */
export const policyHosts = ['signed.example', 'refused.example'] as const;

/** Writes what the configuration of `sourcesOf` and `images.signaturePolicy` names, below an empty directory. */
export function writeFiles(dir: string, signer: Signer): StagedFiles {
  const [localDir, policyFile, keyFile] = [join(dir, 'disks'), join(dir, 'policy.yaml'), join(dir, 'signer.pub')];
  mkdirSync(localDir);
  writeFileSync(keyFile, signer.publicPem);
  const [signed, refused] = policyHosts;
  const repositories = { [signed]: { require: { keys: [keyFile] } }, [refused]: 'refuse' };
  writeFileSync(policyFile, stringify({ version: 1, default: 'accept', repositories }));
  return { localDir, policyFile, signer };
}

/** A name that has no address; its label is longer than DNS allows, so that no name server is asked for it. */
export const noHost = `${'no-such-host-'.repeat(5)}x.invalid`;

/** Digest that the mapping gives to `pinned.example/disk:1`. */
export const pinnedDigest = '1'.repeat(64);

/** The node's sources: a host name for each format, for local files and for names under the policy. */
export function sourcesOf(
  { localDir }: Pick<StagedFiles, 'localDir'>,
  { origin }: ImageServer,
): readonly Readonly<Record<string, unknown>>[] {
  return [
    { name: 'pinned.example/disk:1', url: `${origin}/pinned`, sha256: pinnedDigest },
    ...formats.map((format) => ({ match: `${format}\\.example/(.+):1`, url: `${origin}/$1`, format })),
    { match: 'file\\.example/(.+):1', url: `file://${localDir}/$1` },
    { match: 'signed\\.example/web/(.+):1', url: `${origin}/$1` },
  ];
}

/** Makes the staging of a node that has these files and sources. */
export function makeStaging(node: TestNode, registry: TestRegistry, files: StagedFiles): Staging {
  let count = 0;
  const next = (): number => (count += 1);
  const reloads = (): number => node.logTail(Number.MAX_SAFE_INTEGER).split('"image mappings read again"').length;

  async function reload(): Promise<void> {
    const before = reloads();
    process.kill(node.daemonPid(), 'SIGHUP');
    await waitFor(() => reloads() > before, { timeoutMs: 10_000, what: 'reload' });
  }

  function writeHosts(host: string, toml: string): void {
    mkdirSync(join(node.registryHostsDir, host), { recursive: true });
    writeFileSync(join(node.registryHostsDir, host, 'hosts.toml'), toml);
  }

  for (const host of ['registry.example', ...policyHosts]) writeHosts(host, `server = "${registry.url}"\n`);
  return {
    node,
    registry,
    files,
    reload,
    web: (answer, { format = 'qcow2', end = '' } = {}) => {
      const name = `disk${next()}${end}`;
      node.images.serve(name, typeof answer === 'function' ? answer : plainAnswer(answer));
      return `${format}.example/${name}:1`;
    },
    mapped: async (source, transport) => {
      const number = next();
      const file = join(node.mappingDir, `${number}.yaml`);
      mkdirSync(node.mappingDir, { recursive: true });
      const name = `mapped${number}.example/disk:1`;
      const line = { name, ...source, ...(transport ? { transport: 'its' } : {}) };
      writeFileSync(file, stringify({ ...(transport ? { transports: { its: transport } } : {}), sources: [line] }));
      onTestFinished(() => rmSync(file));
      await reload();
      return name;
    },
    host: (toml) => {
      const host = `host${next()}.example`;
      writeHosts(host, toml);
      return host;
    },
    repository: () => `vms/disk${next()}`,
  };
}

/** Answers with bytes and their length. */
export function plainAnswer(bytes: Uint8Array): ImageAnswer {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes.length }).end(bytes);
  };
}
