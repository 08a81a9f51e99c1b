import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { programsOf, type NetworkConfig } from './cni-config.ts';
import { networkEnvironment } from './cni-execution.ts';
import { findPlugin } from './plugin-search.ts';
import { runPlugin } from './plugin-process.ts';

/** Asks plugins which versions of the specification they speak (VERSION, section 2), each program once as long as its file is the same. */
export interface PluginVersions {
  /**
   * The configuration with the version that is to be spoken (specification, section 1, "Version considerations"): the same object where
   * that is the one it has. Only one that leaves a choice is asked about. Throws nothing.
   */
  readonly settle: (config: NetworkConfig) => Promise<NetworkConfig>;
}

/** A plugin has nothing to do for its answer, milliseconds. */
const timeoutMs = 2_000;
const maxOutputBytes = 64 * 1024;

/** Makes a memory of plugins' versions, empty. */
export function makePluginVersions(binDirs: readonly string[]): PluginVersions {
  const answers = new Map<string, { readonly file: string; readonly versions: readonly string[] | undefined }>();

  async function versionsOf(name: string): Promise<readonly string[] | undefined> {
    const program = await findPlugin(binDirs, name);
    const file = program && (await identityOf(program));
    if (program === undefined || file === undefined) return undefined;
    const known = answers.get(name);
    if (known?.file === file) return known.versions;
    const versions = await ask(program);
    answers.set(name, { file, versions });
    return versions;
  }

  async function ask(program: string): Promise<readonly string[] | undefined> {
    const env = networkEnvironment('VERSION', binDirs);
    const options = { program, env, input: '{"cniVersion":"1.0.0"}', timeoutMs, maxOutputBytes };
    const run = await runPlugin(options, AbortSignal.timeout(2 * timeoutMs)).catch(() => undefined);
    return run?.ended === 'exit' && run.exitCode === 0 ? parseVersions(run.stdout) : undefined;
  }

  async function settle(config: NetworkConfig): Promise<NetworkConfig> {
    if (!config.cniVersions) return config;
    const cniVersion = versionFor(config.cniVersions, await Promise.all(programsOf(config).map(versionsOf)));
    return cniVersion === undefined || cniVersion === config.cniVersion ? config : { ...config, cniVersion };
  }

  return { settle };
}

/**
 * The highest of the versions `offered`, ascending, that everyone speaks; the highest of all where there is none. Who has not answered
 * (`undefined`) may speak any: an ADD says otherwise in the plugin's words.
 */
export function versionFor(offered: readonly string[], spoken: readonly (readonly string[] | undefined)[]): string | undefined {
  return offered.findLast((version) => spoken.every((versions) => versions?.includes(version) ?? true)) ?? offered.at(-1);
}

/** What a plugin answered to VERSION; `undefined` when that is no answer. */
export function parseVersions(text: string): readonly string[] | undefined {
  try {
    return z.looseObject({ supportedVersions: z.array(z.string()).min(1) }).parse(JSON.parse(text)).supportedVersions;
  } catch {
    return undefined;
  }
}

async function identityOf(program: string): Promise<string | undefined> {
  const found = await stat(program, { bigint: true }).catch(() => undefined);
  return found && `${program} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
}
