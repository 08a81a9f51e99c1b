import { mkdir, open, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { isErrno } from '../../lib/errno.ts';
import { toDiskFull } from '../../model/disk-full.ts';
import type { JsonObject, NetworkConfig } from './config.ts';
import { cniArguments, podInterface, type CniAttachment, type CniSubject } from './input.ts';

/** An attachment as it is cached. */
export interface CachedAdd {
  readonly network: NetworkConfig;
  readonly subject: CniSubject;
  readonly netnsPath: string;
  /** The final result of ADD. */
  readonly result: JsonObject;
}

/**
 * Results of ADD as libcni keeps them: `<dir>/results/<network>-<container>-<interface>`. vmlet's own records are what DEL works from; a
 * file here is read only for an ADD that was cut short before its record was complete. The directory is vmlet's own: a runtime that
 * collects garbage with libcni (CRI-O does at its start) calls DEL for every result in its directory that is not of its own pods
 * (`GCNetworkList` in libcni/api.go).
 */
export interface CniCache {
  /** Throws the system's error; DISK_FULL. */
  readonly put: (entry: CachedAdd) => Promise<void>;
  /** The result of an ADD that came to its end; `undefined` when there is none that can be read. */
  readonly result: (network: NetworkConfig, sandboxId: string) => Promise<JsonObject | undefined>;
  /** One that is gone is fine. */
  readonly remove: (network: NetworkConfig, sandboxId: string) => Promise<void>;
  /**
   * The attachments of a network, those of the node's other runtimes too. Throws when one cannot be told: a list that is too short must
   * not be used.
   */
  readonly attachments: (network: NetworkConfig) => Promise<readonly CniAttachment[]>;
}

/** libcni's `cachedInfo` (libcni/api.go), kind `cniCacheV1`; `config` is the configuration list in base64, as Go writes bytes. */
const cachedSchema = z.looseObject({
  kind: z.literal('cniCacheV1'),
  containerId: z.string(),
  ifName: z.string(),
  networkName: z.string(),
  result: z.record(z.string(), z.unknown()).optional(),
});

/** More than any result with its configuration. */
const maxFileBytes = 4 * 2 ** 20;
/** More attachments than a node has pods, of all runtimes. */
const maxFiles = 10_000;

/** Makes the cache in `dir`, beside those of other runtimes; nothing is made before the first result. */
export function makeCniCache(dir: string, otherDirs: readonly string[] = []): CniCache {
  const results = join(dir, 'results');
  const fileOf = (network: NetworkConfig, sandboxId: string): string => join(results, `${network.name}-${sandboxId}-${podInterface}`);

  async function put(entry: CachedAdd): Promise<void> {
    const file = fileOf(entry.network, entry.subject.sandboxId);
    try {
      await mkdir(results, { recursive: true, mode: 0o700 });
      await writeFile(file, formatCachedAdd(entry), { mode: 0o600 });
    } catch (error) {
      throw toDiskFull(error, file);
    }
  }

  async function result(network: NetworkConfig, sandboxId: string): Promise<JsonObject | undefined> {
    const cached = await read(fileOf(network, sandboxId)).catch(() => undefined);
    return cached?.containerId === sandboxId ? cached.result : undefined;
  }

  async function attachments(network: NetworkConfig): Promise<readonly CniAttachment[]> {
    const found = await Promise.all([dir, ...otherDirs].map(async (each) => attachmentsIn(join(each, 'results'), network)));
    return found.flat();
  }

  return {
    put,
    result,
    remove: async (network, sandboxId) => rm(fileOf(network, sandboxId), { force: true }),
    attachments,
  };
}

async function attachmentsIn(results: string, network: NetworkConfig): Promise<readonly CniAttachment[]> {
  const names = await readdir(results).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
  const ofNetwork = names.filter((name) => name.startsWith(`${network.name}-`));
  if (ofNetwork.length > maxFiles) throw new Error(`${results} has ${ofNetwork.length} results, more than ${maxFiles}`);
  const found: CniAttachment[] = [];
  for (const name of ofNetwork) {
    const cached = await read(join(results, name));
    if (cached?.networkName === network.name) found.push({ containerID: cached.containerId, ifname: cached.ifName });
  }
  return found;
}

/** The text of a cached result. */
export function formatCachedAdd({ network, subject, netnsPath, result }: CachedAdd): string {
  return JSON.stringify({
    kind: 'cniCacheV1',
    containerId: subject.sandboxId,
    config: Buffer.from(JSON.stringify(network)).toString('base64'),
    ifName: podInterface,
    networkName: network.name,
    netns: netnsPath,
    cniArgs: cniArguments(subject),
    ...(Object.keys(subject.capabilities).length > 0 ? { capabilityArgs: subject.capabilities } : {}),
    result,
  });
}

/** `undefined` for a file that has gone meanwhile. Throws for one that is too long, or not a cached result. */
async function read(file: string): Promise<z.infer<typeof cachedSchema> | undefined> {
  try {
    await using handle = await open(file, 'r');
    const { size } = await handle.stat();
    if (size > maxFileBytes) throw new Error(`${file} has ${size} bytes, more than ${maxFileBytes}`);
    return cachedSchema.parse(JSON.parse(await handle.readFile('utf8')));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw new Error(`${file} is no cached CNI result`, { cause: error });
  }
}
