import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../lib/errno.ts';
import type { JsonObject, NetworkConfig, PluginConfig } from './cni-config.ts';
import { pluginEnvironment, pluginInput, type CniSubject } from './cni-execution.ts';
import { cniFailure, failureOf } from './cni-failure.ts';
import { parseResult } from './cni-result.ts';
import { runPlugin } from './plugin-process.ts';

/** Where plugins are and how long each may take. */
export interface CniOptions {
  readonly binDirs: readonly string[];
  /** Longest run of one plugin, milliseconds. */
  readonly timeoutMs: number;
}

/** An ADD that failed; `started` says for how many plugins of the list DEL has to be called. */
export interface FailedAdd {
  readonly error: unknown;
  readonly started: number;
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

/** Runs network configurations as the CNI specification (section 3) says. */
export interface Cni {
  /** ADD of every plugin in order. Answers the final result, or the error with how far it came; throws nothing. */
  readonly add: (network: NetworkConfig, subject: CniSubject, netnsPath: string, signal: AbortSignal) => Promise<JsonObject | FailedAdd>;
  /** DEL in reverse order; a failing plugin does not stop the others. Answers the failures. */
  readonly del: (request: DelRequest, signal: AbortSignal) => Promise<readonly unknown[]>;
  /** The first of `programs` that is in no plugin directory. */
  readonly missing: (programs: readonly string[]) => Promise<string | undefined>;
}

/** True for what `add` answers when it failed. */
export function isFailedAdd(outcome: JsonObject | FailedAdd): outcome is FailedAdd {
  return 'started' in outcome && 'error' in outcome;
}

/** More than any result: 50 routes are 5 kB. */
const maxOutputBytes = 2 ** 20;

/** Makes a runner of CNI plugins. */
export function makeCni(options: CniOptions): Cni {
  const { binDirs, timeoutMs } = options;

  async function find(program: string): Promise<string | undefined> {
    for (const dir of binDirs) {
      const file = join(dir, program);
      const found = await access(file, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return file;
    }
    return undefined;
  }

  async function locate(command: Command, plugin: PluginConfig): Promise<string> {
    const program = await find(plugin.type);
    if (program !== undefined) return program;
    throw cniFailure(plugin.type, command, `no such program in ${binDirs.join(', ')}`);
  }

  async function execute(command: Command, plugin: PluginConfig, program: string, io: Io): Promise<string> {
    const { env } = io;
    const run = await runPlugin({ program, env, input: io.input, timeoutMs, maxOutputBytes }, io.signal).catch((error: unknown) => {
      io.signal.throwIfAborted();
      throw cniFailure(plugin.type, command, `cannot be run: ${messageOf(error)}`, { cause: error });
    });
    const failure = failureOf(plugin.type, command, run, timeoutMs);
    if (failure) throw failure;
    return run.stdout;
  }

  async function add(network: NetworkConfig, subject: CniSubject, netnsPath: string, signal: AbortSignal): Promise<JsonObject | FailedAdd> {
    const env = pluginEnvironment('ADD', subject, netnsPath, binDirs);
    let result: JsonObject = {};
    for (const [index, plugin] of network.plugins.entries()) {
      const input = pluginInput(network, plugin, subject.capabilities, index === 0 ? undefined : result);
      let started = index;
      try {
        const program = await locate('ADD', plugin);
        started += 1;
        result = readResult(plugin, await execute('ADD', plugin, program, { env, input, signal }));
      } catch (error) {
        return { error, started };
      }
    }
    return result;
  }

  async function del(request: DelRequest, signal: AbortSignal): Promise<readonly unknown[]> {
    const { network, subject, netnsPath, result, started = network.plugins.length } = request;
    const env = pluginEnvironment('DEL', subject, netnsPath, binDirs);
    const failures: unknown[] = [];
    for (const plugin of network.plugins.slice(0, started).toReversed()) {
      const input = pluginInput(network, plugin, subject.capabilities, result);
      try {
        await execute('DEL', plugin, await locate('DEL', plugin), { env, input, signal });
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  }

  async function missing(programs: readonly string[]): Promise<string | undefined> {
    for (const program of programs) if ((await find(program)) === undefined) return program;
    return undefined;
  }

  return { add, del, missing };
}

type Command = 'ADD' | 'DEL';

interface Io {
  readonly env: Readonly<Record<string, string>>;
  readonly input: string;
  readonly signal: AbortSignal;
}

function readResult(plugin: PluginConfig, text: string): JsonObject {
  try {
    return parseResult(text);
  } catch (error) {
    throw cniFailure(plugin.type, 'ADD', `its result is not valid: ${messageOf(error)}`, {
      details: text.trim().slice(0, 500),
      cause: error,
    });
  }
}
