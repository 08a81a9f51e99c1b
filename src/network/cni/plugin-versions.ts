import { stat } from 'node:fs/promises';
import { z } from 'zod';
import type { NetworkConfig } from './config.ts';
import type { PluginRun } from './failure.ts';
import { networkEnvironment } from './input.ts';
import { findPlugin } from './plugin-search.ts';
import { runPlugin } from './plugin-process.ts';

/** A plugin that does not speak the version that is to be spoken. */
export interface UnablePlugin {
  readonly plugin: string;
  /** What it does speak. */
  readonly versions: readonly string[];
}

/** A configuration with the version that is to be spoken. */
export interface SettledConfig {
  /** The same object where the version is the one it had. */
  readonly config: NetworkConfig;
  readonly unable?: UnablePlugin;
}

/**
 * Asks plugins which versions of the specification they speak (VERSION, section 2), each program once as long as its file is the same; one
 * that gave no answer in time is asked again, after a pause.
 */
export interface PluginVersions {
  /** Settles the version (specification, section 1, "Version considerations"), and tells who does not speak it. Throws nothing. */
  readonly settle: (config: NetworkConfig) => Promise<SettledConfig>;
  /** Ends the programs that are being asked. */
  readonly close: () => void;
}

/** A plugin has nothing to do for its answer, milliseconds. */
const timeoutMs = 2_000;
const maxOutputBytes = 64 * 1024;
/** A program that was too slow, on a busy node perhaps, is left alone for so long, milliseconds: each sandbox would wait for it. */
const pauseMs = 60_000;

interface Answer {
  /** The program that gave it; another one under its name is asked anew. */
  readonly file: string;
  readonly versions: readonly string[] | undefined;
  /** How long it counts, on the monotonic clock; default for ever. */
  readonly until?: number;
}

/** Makes a memory of plugins' versions, empty. */
export function makePluginVersions(binDirs: readonly string[]): PluginVersions {
  const answers = new Map<string, Answer>();
  const controller = new AbortController();

  async function versionsOf(name: string): Promise<readonly string[] | undefined> {
    const program = await findPlugin(binDirs, name);
    const file = program && (await identityOf(program));
    if (program === undefined || file === undefined) return undefined;
    const known = answers.get(name);
    if (known?.file === file && performance.now() < (known.until ?? Infinity)) return known.versions;
    const run = await ask(program);
    const versions = run?.exitCode === 0 ? parseVersions(run.stdout) : undefined;
    answers.set(name, { file, versions, ...(run?.ended === 'exit' ? {} : { until: performance.now() + pauseMs }) });
    return versions;
  }

  async function ask(program: string): Promise<PluginRun | undefined> {
    const env = networkEnvironment('VERSION', binDirs);
    const options = { program, env, input: '{"cniVersion":"1.0.0"}', timeoutMs, maxOutputBytes };
    return runPlugin(options, controller.signal).catch(() => undefined);
  }

  async function settle(config: NetworkConfig): Promise<SettledConfig> {
    const names = [...new Set(config.plugins.map(({ type }) => type))]; // what a plugin says to its IPAM plugin is its own matter
    const answered = await Promise.all(names.map(async (name) => [name, await versionsOf(name)] as const));
    const spoken = new Map(answered);
    const cniVersion = versionFor(config.cniVersions ?? [config.cniVersion], [...spoken.values()]) ?? config.cniVersion;
    const unable = unableOf(cniVersion, spoken);
    return { config: cniVersion === config.cniVersion ? config : { ...config, cniVersion }, ...(unable ? { unable } : {}) };
  }

  return { settle, close: () => controller.abort() };
}

/**
 * The highest of the versions `offered`, ascending, that everyone speaks; the highest of all where there is none. Who has not answered
 * (`undefined`) may speak any.
 */
export function versionFor(offered: readonly string[], spoken: readonly (readonly string[] | undefined)[]): string | undefined {
  return offered.findLast((version) => spoken.every((versions) => versions?.includes(version) ?? true)) ?? offered.at(-1);
}

/** The first program that has said that it does not speak the version. */
export function unableOf(version: string, spoken: ReadonlyMap<string, readonly string[] | undefined>): UnablePlugin | undefined {
  const [found] = [...spoken].filter(([, versions]) => versions !== undefined && !versions.includes(version));
  return found && { plugin: found[0], versions: found[1] ?? [] };
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
