import { mkdir, readFile, realpath, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../lib/errno.ts';
import { programPath, runProgram, tryProgram, type ProgramOptions, type ProgramResult } from '../lib/run-program.ts';

/** Network namespaces with a name, as ip-netns(8) keeps them: a bind mount of the namespace on a file. */
export interface Namespaces {
  /** Where a sandbox's namespace is, or will be. */
  readonly pathOf: (sandboxId: string) => string;
  /** Makes a namespace with its loopback up. Throws when the name is taken. */
  readonly make: (path: string, signal: AbortSignal) => Promise<void>;
  /** True while a namespace is mounted there. */
  readonly isAlive: (path: string) => Promise<boolean>;
  /** Unmounts and removes the name; the kernel ends the namespace with its last user. Gone already is fine. */
  readonly remove: (path: string, signal: AbortSignal) => Promise<void>;
  /** Runs a program inside and answers how it ended. Throws `ProgramError` unless it exits with 0. */
  readonly run: (path: string, command: Command, signal: AbortSignal) => Promise<ProgramResult>;
  /** As `run`, whatever the exit status. */
  readonly tryRun: (path: string, command: Command, signal: AbortSignal) => Promise<ProgramResult>;
}

/** A program, its arguments and what it reads. */
export interface Command {
  readonly argv: readonly [string, ...string[]];
  readonly input?: string;
}

/** NSFS_MAGIC of linux/magic.h: the file system of namespace files. */
const nsfsMagic = 0x6e736673;

/** An entry in the environment of every program that makes a namespace or runs inside, so that one that outlives its daemon is found. */
export function netnsMark(path: string): string {
  return `VMLET_NETNS=${path}`;
}

function environment(path: string): Readonly<Record<string, string>> {
  const [name = '', value = ''] = netnsMark(path).split(/=(.*)/s);
  return { PATH: programPath, LC_ALL: 'C', [name]: value };
}

/** Prepares the directory as `ip netns add` does: a shared mount of its own, so that removals are seen in every mount namespace. */
export async function openNamespaces(dir: string, signal: AbortSignal): Promise<Namespaces> {
  await mkdir(dir, { recursive: true, mode: 0o755 });
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  const real = await realpath(dir);
  if (!mounts.split('\n').some((line) => line.split(' ')[4] === real)) {
    await runProgram('mount', ['--bind', '--make-rshared', real, real], { signal });
  }

  async function isAlive(path: string): Promise<boolean> {
    try {
      return (await statfs(path)).type === nsfsMagic;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return false;
      throw error;
    }
  }

  async function make(path: string, signal: AbortSignal): Promise<void> {
    await writeFile(path, '', { flag: 'wx', mode: 0o444 });
    try {
      await runProgram('unshare', [`--net=${path}`, 'ip', 'link', 'set', 'dev', 'lo', 'up'], { signal, env: environment(path) });
    } catch (error) {
      await remove(path, AbortSignal.timeout(10_000));
      throw error;
    }
  }

  async function remove(path: string, signal: AbortSignal): Promise<void> {
    if (await isAlive(path)) await runProgram('umount', ['--lazy', path], { signal });
    await rm(path, { force: true });
  }

  const inside = (path: string, { argv, input }: Command): readonly [string, readonly string[], Omit<ProgramOptions, 'signal'>] => [
    'nsenter',
    [`--net=${path}`, ...argv],
    { env: environment(path), ...(input === undefined ? {} : { input }) },
  ];

  return {
    pathOf: (sandboxId) => join(dir, `vmlet-${sandboxId.slice(0, 12)}`),
    make,
    isAlive,
    remove,
    run: async (path, command, signal) => {
      const [program, args, io] = inside(path, command);
      return runProgram(program, args, { ...io, signal });
    },
    tryRun: async (path, command, signal) => {
      const [program, args, io] = inside(path, command);
      return tryProgram(program, args, { ...io, signal });
    },
  };
}
