import { messageOf } from '../lib/errno.ts';
import { readyCondition, type Condition } from '../model/condition.ts';
import type { NetworkStatus } from './cni/status.ts';
import type { UnablePlugin } from './cni/plugin-versions.ts';
import { parseNetworkConfig, type ConfigFile, type NetworkConfig } from './cni/config.ts';

/** What a look at the configuration directory found. */
export type Reading =
  | { readonly kind: 'missing' | 'unreadable'; readonly problem: string }
  | {
      readonly kind: 'read';
      /** The first valid file in lexical order. */
      readonly config?: NetworkConfig;
      /** How many files have a name that counts. */
      readonly files: number;
      /** What is wrong with the files before the valid one. */
      readonly problems: readonly string[];
    };

/** Chooses the network as libcni does: the first valid file in lexical order; those before it are problems to tell. */
export function chooseConfig(files: readonly ConfigFile[]): Reading {
  const problems: string[] = [];
  for (const { name, text = '', problem, plugins } of files.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (problem === undefined) {
      try {
        return { kind: 'read', config: parseNetworkConfig(name, text, plugins), files: files.length, problems };
      } catch (error) {
        problems.push(`${name}: ${messageOf(error)}`);
      }
    } else problems.push(`${name}: ${problem}`);
  }
  return { kind: 'read', files: files.length, problems };
}

/** Where configuration and plugins are looked for. */
export interface CniDirs {
  readonly confDir: string;
  readonly binDirs: readonly string[];
}

/** What is known of the network beside its configuration. */
export interface NetworkFacts {
  /** A plugin that it needs and that is in none of the directories. */
  readonly absent?: string | undefined;
  /** A plugin that does not speak the network's version. */
  readonly unable?: UnablePlugin | undefined;
  /** What its plugins say; default: ready. */
  readonly status?: NetworkStatus | undefined;
}

/**
 * `NetworkReady` for a reading. Each cause has a reason of its own, since the kubelet shows reason and message as the node's, and people
 * search for the reason.
 */
export function networkCondition({ confDir, binDirs }: CniDirs, reading: Reading, { absent, unable, status }: NetworkFacts): Condition {
  if (reading.kind !== 'read') {
    return reading.kind === 'missing'
      ? notReady('CNIConfigDirectoryMissing', `no CNI configuration directory ${confDir}`)
      : notReady('CNIConfigDirectoryUnreadable', `CNI configuration directory ${confDir} cannot be read: ${reading.problem}`);
  }
  const { config, files } = reading;
  const problems = reading.problems.join('; ');
  if (files === 0) return notReady('CNIConfigMissing', `no .conflist, .conf or .json file in ${confDir}: is a network plugin installed?`);
  if (!config) return notReady('CNIConfigInvalid', `no usable CNI configuration in ${confDir}: ${problems}`);
  if (absent !== undefined) {
    const where = `which is not in ${binDirs.join(', ')}`;
    return notReady('CNIPluginMissing', `CNI network "${config.name}" in ${confDir} needs the plugin "${absent}", ${where}`);
  }
  if (unable) {
    const fix = `install newer plugins, or offer one of ${unable.versions.join(', ')} in its cniVersions`;
    const problem = `is of version ${config.cniVersion}, which the plugin "${unable.plugin}" does not speak; ${fix}`;
    return notReady('CNIVersionUnsupported', `CNI network "${config.name}" in ${confDir} ${problem}`);
  }
  if (status?.kind === 'failing') return notReady('CNIPluginNotReady', `CNI network "${config.name}" takes no pods: ${status.problem}`);
  if (status?.kind === 'unknown')
    return notReady('CNIStatusUnknown', `the plugins of CNI network "${config.name}" have not answered STATUS yet`);
  return problems === '' ? readyCondition : { ...readyCondition, message: `CNI configuration passed over in ${confDir}: ${problems}` };
}

function notReady(reason: string, message: string): Condition {
  return { ready: false, reason, message };
}
