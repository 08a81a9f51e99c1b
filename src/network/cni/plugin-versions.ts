import { z } from 'zod';
import { pause } from '../../lib/signals.ts';
import type { NetworkConfig } from './config.ts';
import { networkEnvironment } from './input.ts';
import { findPlugin, programIdentity } from './plugin-search.ts';
import { makePluginRunner } from './plugin-runner.ts';

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
 * Which versions a plugin speaks: those that it named; `any` for one that answered something else, as a script does that knows nothing of
 * versions; `unanswered` for one that was too slow, or could not be started.
 */
export type Spoken = readonly string[] | 'any' | 'unanswered';

/**
 * Asks plugins which versions of the specification they speak (VERSION, section 2), each program once as long as its file is the same. One
 * that gave no answer, on a busy node perhaps, is asked again in the background until it does.
 */
export interface PluginVersions {
  /**
   * Settles the version (specification, section 1, "Version considerations"), and tells who does not speak it. Waits for programs that have
   * never been asked, and for no other. Throws nothing.
   */
  readonly settle: (config: NetworkConfig) => Promise<SettledConfig>;
  /** Ends the programs that are being asked, and asks no more. */
  readonly close: () => void;
}

/** A plugin has nothing to do for its answer; a look at the configuration, and so a sandbox, waits for it. Milliseconds. */
const timeoutMs = 2_000;
/** In the background nobody waits, milliseconds. */
const backgroundTimeoutMs = 10_000;
/** Before a program is asked again, milliseconds; it doubles with each time. */
const firstPauseMs = 1_000;
const longestPauseMs = 60_000;
const maxOutputBytes = 64 * 1024;

interface Answer {
  /** The program that gave it; another one under its name is asked anew. */
  readonly file: string;
  readonly spoken: Spoken;
}

/** Makes a memory of plugins' versions, empty. `onAnswer` is called when one that has not answered before has done so in the background. */
export function makePluginVersions(binDirs: readonly string[], onAnswer: () => void): PluginVersions {
  const answers = new Map<string, Answer>();
  const closing = new AbortController();
  const runPlugin = makePluginRunner();

  async function spokenBy(name: string): Promise<Spoken> {
    const program = await findPlugin(binDirs, name);
    const file = program && (await programIdentity(program));
    if (program === undefined || file === undefined) return 'any'; // that it is missing is told as such
    const known = answers.get(name);
    if (known?.file === file) return known.spoken;
    const answer: Answer = { file, spoken: await ask(program, timeoutMs) };
    answers.set(name, answer);
    if (answer.spoken === 'unanswered') void askAgain(name, program, answer).catch(() => undefined); // closed
    return answer.spoken;
  }

  async function ask(program: string, longestMs: number): Promise<Spoken> {
    const env = networkEnvironment('VERSION', binDirs);
    const options = { program, env, input: '{"cniVersion":"1.0.0"}', timeoutMs: longestMs, maxOutputBytes };
    const run = await runPlugin(options, closing.signal).catch(() => undefined);
    if (run?.ended !== 'exit' || run.exitCode === undefined) return 'unanswered';
    return (run.exitCode === 0 ? parseVersions(run.stdout) : undefined) ?? 'any';
  }

  /** Until it answers, or another program has taken its place, which a look asks. */
  async function askAgain(name: string, program: string, last: Answer): Promise<void> {
    const isOver = (): boolean => answers.get(name) !== last;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      await pause(pauseMs, closing.signal);
      const file = await programIdentity(program);
      if (isOver()) return;
      if (file !== last.file) return void answers.delete(name); // whatever is there next is asked by a look
      const spoken = await ask(program, backgroundTimeoutMs);
      if (isOver()) return;
      if (spoken === 'unanswered') continue;
      answers.set(name, { file, spoken });
      return onAnswer();
    }
  }

  async function settle(config: NetworkConfig): Promise<SettledConfig> {
    const names = new Set(config.plugins.map(({ type }) => type)); // what a plugin says to its IPAM plugin is its own matter
    for (const name of answers.keys()) if (!names.has(name)) answers.delete(name);
    const spoken = new Map(await Promise.all([...names].map(async (name) => [name, await spokenBy(name)] as const)));
    const cniVersion = versionFor(config.cniVersions ?? [config.cniVersion], [...spoken.values()]) ?? config.cniVersion;
    const unable = unableOf(cniVersion, spoken);
    return { config: cniVersion === config.cniVersion ? config : { ...config, cniVersion }, ...(unable ? { unable } : {}) };
  }

  return { settle, close: () => closing.abort() };
}

/**
 * The highest of the versions `offered`, ascending, that everyone speaks; the highest of all where there is none. As long as someone has not
 * answered it is the lowest that the others speak: plugins go on speaking what they spoke, so that pods can be made with it, while a plugin
 * that is older than the highest would refuse each. What is forgone until the answer is what newer versions have added.
 */
export function versionFor(offered: readonly string[], spoken: readonly Spoken[]): string | undefined {
  const isSpoken = (version: string): boolean => spoken.every((versions) => typeof versions === 'string' || versions.includes(version));
  const found = spoken.includes('unanswered') ? offered.find(isSpoken) : offered.findLast(isSpoken);
  return found ?? offered.at(-1);
}

/** The first program that has said that it does not speak the version. */
export function unableOf(version: string, spoken: ReadonlyMap<string, Spoken>): UnablePlugin | undefined {
  for (const [plugin, versions] of spoken) if (typeof versions !== 'string' && !versions.includes(version)) return { plugin, versions };
  return undefined;
}

/** What a plugin answered to VERSION; `undefined` when that is no answer. */
export function parseVersions(text: string): readonly string[] | undefined {
  try {
    return z.looseObject({ supportedVersions: z.array(z.string()).min(1) }).parse(JSON.parse(text)).supportedVersions;
  } catch {
    return undefined;
  }
}
