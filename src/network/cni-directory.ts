import { watch, type FSWatcher } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import { readyCondition, type Condition } from '../model/condition.ts';
import { VmletError } from '../model/errors.ts';
import { isConfigFile, parseNetworkConfig, programsOf, type NetworkConfig } from './cni-config.ts';

/** What the configuration directory is read with. */
export interface CniDirectoryOptions {
  readonly confDir: string;
  /** Pause between looks at the directory, milliseconds: for what no watch reports (a directory made later, plugins installed). */
  readonly pollMs: number;
}

/** The node's network configuration, followed as it changes. */
export interface CniDirectory {
  /** From memory. */
  readonly condition: () => Condition;
  /** The configuration as it is on disk now. Errors: CNI_UNAVAILABLE. */
  readonly current: () => Promise<NetworkConfig>;
  readonly close: () => void;
}

interface Seen {
  readonly signature: string;
  readonly config?: NetworkConfig;
  readonly problems: readonly string[];
}

/** A burst of changes (an installer that writes several files) is looked at once. */
const settleMs = 50;

/** Reads the directory and follows it. `missing` names the first of some plugin programs that is not installed. */
export async function openCniDirectory(
  options: CniDirectoryOptions,
  deps: { readonly log: Log; readonly missing: (programs: readonly string[]) => Promise<string | undefined> },
): Promise<CniDirectory> {
  const { confDir, pollMs } = options;
  let seen: Seen = { signature: '', problems: [] };
  let condition: Condition = readyCondition;
  let watcher: FSWatcher | undefined;
  let settle: NodeJS.Timeout | undefined;
  let closed = false;

  async function look(): Promise<void> {
    try {
      const names = (await readdir(confDir)).filter(isConfigFile).toSorted();
      const signature = (await Promise.all(names.map(async (name) => signatureOf(join(confDir, name))))).join('\n');
      if (signature !== seen.signature || seen.config === undefined) seen = { signature, ...(await firstValid(confDir, names)) };
    } catch (error) {
      seen = { signature: '', problems: [messageOf(error)] };
    }
    await judge();
    follow();
  }

  async function judge(): Promise<void> {
    const absent = seen.config && (await deps.missing(programsOf(seen.config)));
    const before = condition;
    condition = conditionOf(confDir, seen, absent);
    if (before.ready !== condition.ready || before.message !== condition.message) {
      deps.log[condition.ready ? 'info' : 'warn']({ confDir, ...condition }, 'network condition changed');
    }
  }

  function follow(): void {
    if (watcher || closed) return;
    try {
      watcher = watch(confDir, { persistent: false }, () => {
        clearTimeout(settle);
        settle = setTimeout(() => void look(), settleMs).unref();
      });
      watcher.once('error', unfollow);
    } catch {
      // No directory yet: the poll finds it.
    }
  }

  function unfollow(): void {
    watcher?.close();
    watcher = undefined;
  }

  async function poll(): Promise<void> {
    const there = await stat(confDir).catch(() => undefined);
    if (!there) unfollow(); // a directory that comes back is another one, which the old watch would not see
    await look();
  }

  async function current(): Promise<NetworkConfig> {
    await look();
    if (seen.config) return seen.config;
    throw new VmletError({ code: 'CNI_UNAVAILABLE' }, condition.message);
  }

  await look();
  const timer = setInterval(() => void poll(), pollMs).unref();
  return {
    condition: () => condition,
    current,
    close: () => {
      closed = true;
      clearInterval(timer);
      clearTimeout(settle);
      unfollow();
    },
  };
}

/** The first valid file in lexical order decides; those before it are problems to tell. */
async function firstValid(confDir: string, names: readonly string[]): Promise<{ config?: NetworkConfig; problems: readonly string[] }> {
  const problems: string[] = [];
  for (const name of names) {
    try {
      return { config: parseNetworkConfig(name, await readFile(join(confDir, name), 'utf8')), problems };
    } catch (error) {
      problems.push(`${name}: ${messageOf(error)}`);
    }
  }
  return { problems: names.length === 0 ? ['no .conflist, .conf or .json file'] : problems };
}

function conditionOf(confDir: string, seen: Seen, absent: string | undefined): Condition {
  const problems = seen.problems.join('; ');
  if (!seen.config) return notReady(`no usable CNI configuration in ${confDir}: ${problems}`);
  if (absent !== undefined)
    return notReady(`CNI network "${seen.config.name}" in ${confDir} needs the plugin "${absent}", which is not installed`);
  return problems === ''
    ? readyCondition
    : { ready: true, reason: '', message: `CNI configuration passed over in ${confDir}: ${problems}` };
}

function notReady(message: string): Condition {
  return { ready: false, reason: 'NetworkPluginNotReady', message };
}

async function signatureOf(file: string): Promise<string> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
  return `${file} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
}
