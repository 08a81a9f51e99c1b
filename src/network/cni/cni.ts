import { messageOf } from '../../lib/errno.ts';
import { speaks, type JsonObject, type NetworkConfig, type PluginConfig } from './config.ts';
import {
  collectionMark,
  networkEnvironment,
  networkInput,
  pluginEnvironment,
  pluginInput,
  type CniAttachment,
  type CniSubject,
} from './input.ts';
import { cniFailure, failureOf, isUnknownContainer } from './failure.ts';
import { parseResult } from './result.ts';
import { makePluginRunner } from './plugin-runner.ts';
import { findPlugin } from './plugin-search.ts';

/** Where plugins are and how long each may take. */
export interface CniOptions {
  readonly binDirs: readonly string[];
  /** Longest run of one plugin, milliseconds. */
  readonly timeoutMs: number;
  /** The daemon's own directory, by which its collection of garbage is known. */
  readonly stateDir: string;
}

/** How far an ADD came: the plugins that were started, and the result of the last one that ended well. */
export interface AddProgress {
  readonly started: number;
  readonly result?: JsonObject;
}

/** An ADD: the network, whom it is for, and who has to know before each plugin but the first how far it came. */
export interface AddRequest {
  readonly network: NetworkConfig;
  readonly subject: CniSubject;
  readonly netnsPath: string;
  /** Called with what is true once the next plugin runs; that waits for it. */
  readonly onProgress: (progress: AddProgress) => Promise<void>;
}

/** An ADD that failed; its progress says what DEL has to be called for. */
export interface FailedAdd extends AddProgress {
  readonly error: unknown;
}

/** A DEL: the plugins that ADD started, and its final result if it came to one. */
export interface DelRequest {
  readonly network: NetworkConfig;
  readonly subject: CniSubject;
  /** Empty when the namespace is gone. */
  readonly netnsPath: string;
  readonly result?: JsonObject;
  /** How many plugins of the list ADD started; default all. */
  readonly started?: number;
}

/** Runs network configurations as the CNI specification (section 3) says. CHECK is never called: a guest owns the interface's address. */
export interface Cni {
  /** ADD of every plugin in order. Answers the final result, or the error with how far it came; throws nothing. */
  readonly add: (request: AddRequest, signal: AbortSignal) => Promise<JsonObject | FailedAdd>;
  /** DEL in reverse order; a failing plugin does not stop the others, one that knows nothing of the sandbox is done. Answers the failures. */
  readonly del: (request: DelRequest, signal: AbortSignal) => Promise<readonly unknown[]>;
  /** STATUS of every plugin; nothing for a network that speaks a version before 1.1.0. Throws the first failure. */
  readonly status: (network: NetworkConfig, signal: AbortSignal) => Promise<void>;
  /**
   * GC of every plugin: what belongs to none of the `valid` attachments is removed; nothing for a network that speaks a version before
   * 1.1.0 or does not want it. Answers the failures. No ADD or DEL may run meanwhile.
   */
  readonly gc: (network: NetworkConfig, valid: readonly CniAttachment[], signal: AbortSignal) => Promise<readonly unknown[]>;
  /** The first of `programs` that is in no plugin directory. */
  readonly missing: (programs: readonly string[]) => Promise<string | undefined>;
}

/** True for what `add` answers when it failed. */
export function isFailedAdd(outcome: JsonObject | FailedAdd): outcome is FailedAdd {
  return 'started' in outcome && 'error' in outcome;
}

/** The version of the specification that brought STATUS and GC. */
const statusVersion = '1.1.0';
/** The first whose DEL is told the result of ADD. */
const delResultVersion = '0.4.0';

/** True for a network whose plugins are to be asked for their STATUS. */
export function hasStatus(network: NetworkConfig): boolean {
  return speaks(network, statusVersion);
}

/** True for a network whose plugins are to be told what is still there. */
export function hasGc(network: NetworkConfig): boolean {
  return speaks(network, statusVersion) && network.disableGC !== true;
}

/** More than any result: 50 routes are 5 kB. */
const maxOutputBytes = 2 ** 20;
/** Longest STATUS, milliseconds: it is asked again and again, and should only look. */
const statusTimeoutMs = 10_000;

/** Makes a runner of CNI plugins. */
export function makeCni(options: CniOptions): Cni {
  const { binDirs, timeoutMs, stateDir } = options;
  const runPlugin = makePluginRunner();

  async function locate(command: Command, plugin: PluginConfig): Promise<string> {
    const program = await findPlugin(binDirs, plugin.type);
    if (program !== undefined) return program;
    throw cniFailure(plugin.type, command, `no such program in ${binDirs.join(', ')}`);
  }

  async function execute(command: Command, plugin: PluginConfig, program: string, io: Io): Promise<string> {
    const longestMs = Math.min(timeoutMs, io.timeoutMs ?? timeoutMs);
    const { env, input } = io;
    const run = await runPlugin({ program, env, input, timeoutMs: longestMs, maxOutputBytes }, io.signal).catch((error: unknown) => {
      io.signal.throwIfAborted();
      throw cniFailure(plugin.type, command, `cannot be run: ${messageOf(error)}`, { cause: error });
    });
    const failure = failureOf(plugin.type, command, run, longestMs);
    if (failure) throw failure;
    return run.stdout;
  }

  async function add({ network, subject, netnsPath, onProgress }: AddRequest, signal: AbortSignal): Promise<JsonObject | FailedAdd> {
    const env = pluginEnvironment('ADD', subject, netnsPath, binDirs);
    let progress: AddProgress = { started: 0 };
    for (const plugin of network.plugins) {
      const { result } = progress;
      const input = pluginInput(network, plugin, subject.capabilities, result);
      try {
        const program = await locate('ADD', plugin);
        const next = { ...progress, started: progress.started + 1 };
        if (result) await onProgress(next);
        progress = next;
        const text = await execute('ADD', plugin, program, { env, input, signal });
        progress = { ...progress, result: readResult(plugin, text, network.cniVersion) };
      } catch (error) {
        return { ...progress, error };
      }
    }
    return progress.result ?? {};
  }

  async function del(request: DelRequest, signal: AbortSignal): Promise<readonly unknown[]> {
    const { network, subject, netnsPath, result, started = network.plugins.length } = request;
    const env = pluginEnvironment('DEL', subject, netnsPath, binDirs);
    const told = speaks(network, delResultVersion) ? result : undefined;
    const failures = await each('DEL', network.plugins.slice(0, started).toReversed(), (plugin) => ({
      env,
      input: pluginInput(network, plugin, subject.capabilities, told),
      signal,
    }));
    return failures.filter((error) => !isUnknownContainer(error));
  }

  async function status(network: NetworkConfig, signal: AbortSignal): Promise<void> {
    if (!hasStatus(network)) return;
    const env = networkEnvironment('STATUS', binDirs);
    for (const plugin of network.plugins) {
      const io = { env, input: networkInput(network, plugin), signal, timeoutMs: statusTimeoutMs };
      await execute('STATUS', plugin, await locate('STATUS', plugin), io);
    }
  }

  async function gc(network: NetworkConfig, valid: readonly CniAttachment[], signal: AbortSignal): Promise<readonly unknown[]> {
    if (!hasGc(network)) return [];
    const env = { ...networkEnvironment('GC', binDirs), ...collectionMark(stateDir) };
    return each('GC', network.plugins, (plugin) => ({ env, input: networkInput(network, plugin, valid), signal }));
  }

  /** Runs plugins one after the other, whatever becomes of them; answers the failures. */
  async function each(command: Command, plugins: readonly PluginConfig[], ioOf: (plugin: PluginConfig) => Io): Promise<readonly unknown[]> {
    const failures: unknown[] = [];
    for (const plugin of plugins) {
      try {
        await execute(command, plugin, await locate(command, plugin), ioOf(plugin));
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  }

  async function missing(programs: readonly string[]): Promise<string | undefined> {
    for (const program of programs) if ((await findPlugin(binDirs, program)) === undefined) return program;
    return undefined;
  }

  return { add, del, status, gc, missing };
}

type Command = 'ADD' | 'DEL' | 'STATUS' | 'GC';

interface Io {
  readonly env: Readonly<Record<string, string>>;
  readonly input: string;
  readonly signal: AbortSignal;
  /** Longest run, milliseconds, where that is less than the configured one. */
  readonly timeoutMs?: number;
}

function readResult(plugin: PluginConfig, text: string, version: string): JsonObject {
  try {
    return parseResult(text, version);
  } catch (error) {
    throw cniFailure(plugin.type, 'ADD', `its result is not valid: ${messageOf(error)}`, {
      details: text.trim().slice(0, 500),
      cause: error,
    });
  }
}
