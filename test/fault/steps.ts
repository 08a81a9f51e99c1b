import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { basename } from 'node:path';
import type { Decorate } from '../../src/daemon/decorate.ts';
import type { ConsoleLog } from '../../src/logs/logs.ts';
import { toDiskFull } from '../../src/model/disk-full.ts';
import { pointText, type FaultFiles, type Point } from './point.ts';

/** Methods that change nothing, or not what a pod consists of; every other method of a decorated room is a step. */
const noSteps = new Set([
  'records.get',
  'records.all',
  ...['accelerator', 'condition', 'lastLogLines', 'followReports', 'list', 'observe', 'onEvent', 'onConnected', 'pidOf'].map(
    (name) => `hypervisor.${name}`,
  ),
  ...['start', 'close'].map((name) => `hypervisor.${name}`),
  ...['adopt', 'attachment', 'close', 'condition', 'counters', 'helperPid', 'isAlive', 'metadata', 'onHelperReplaced', 'recover'].map(
    (name) => `network.${name}`,
  ),
  ...['admitDisk', 'close', 'find', 'hold', 'list', 'release', 'reload', 'usage'].map((name) => `images.${name}`),
  ...['oomKills', 'parentOf', 'podUsage', 'usage'].map((name) => `cgroups.${name}`),
  'volumes.baseOf',
  'volumes.usage',
]);

/** Decorates rooms so that each run of a step is noted, and the process killed at the armed point. */
export function stepsOf(files: FaultFiles): Decorate {
  const decorate: Decorate = (name, part) =>
    new Proxy(part, {
      get: (target, key, receiver) => {
        const value: unknown = Reflect.get(target, key, receiver);
        if (typeof value !== 'function' || typeof key !== 'string') return value;
        if (noSteps.has(`${name}.${key}`) || noSteps.has(`${name.split('.')[0]}.${key}`)) return value;
        return (...args: unknown[]): unknown => {
          const { run, after } = begin(files, `${name}.${key}`);
          if (files.isArmed({ when: 'instead', step: `${name}.${key}`, run })) return Promise.reject(diskFull(name));
          const answer: unknown = Reflect.apply(value, target, args);
          return answer instanceof Promise ? settled(answer, after) : answer;
        };
      },
    });
  return decorate;

  async function settled(answer: Promise<unknown>, after: () => void): Promise<unknown> {
    try {
      const made = await answer;
      return isConsole(made) ? decorate('console', made) : made;
    } finally {
      after();
    }
  }
}

/** The same for every program that is run: before it is started, and after its end (or its start, when it is to outlive the daemon). */
export function watchPrograms(files: FaultFiles): void {
  const ends = new WeakMap<ChildProcess, () => void>();
  subscribe('tracing:child_process.spawn:start', (message) => {
    const { process: child, options } = message as { process: ChildProcess; options: SpawnOptions & SpawnedProgram };
    const { after } = begin(files, programStep(options));
    if (options.detached === true) ends.set(child, after);
    else child.once('exit', after);
  });
  subscribe('tracing:child_process.spawn:end', (message) => ends.get((message as { process: ChildProcess }).process)?.());
}

interface SpawnedProgram {
  readonly args: readonly string[];
  readonly envPairs: readonly string[];
}

function programStep({ args, envPairs }: SpawnedProgram): string {
  const [program = '', ...rest] = unwrapped(args);
  const command = envPairs.find((pair) => pair.startsWith('CNI_COMMAND='))?.slice('CNI_COMMAND='.length);
  const verb = command ?? rest.find((arg) => /^[a-z]+$/.test(arg));
  return `program.${[basename(program), ...(verb === undefined ? [] : [verb])].join('.')}`;
}

/** The program that others start with long options of theirs before it. */
function unwrapped(args: readonly string[]): readonly string[] {
  if (!['nsenter', 'setpriv'].includes(args[0] ?? '')) return args;
  return unwrapped(args.slice(1 + args.slice(1).findIndex((arg) => !arg.startsWith('--'))));
}

function begin(files: FaultFiles, step: string): { readonly run: number; readonly after: () => void } {
  const run = files.reach(step);
  dieAt(files, { when: 'before', step, run });
  return { run, after: () => dieAt(files, { when: 'after', step, run }) };
}

/** What the room would throw. */
function diskFull(name: string): unknown {
  const error = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  return name.startsWith('records.') ? toDiskFull(error, name) : error;
}

function dieAt(files: FaultFiles, point: Point): void {
  if (!files.isArmed(point)) return;
  process.stderr.write(`killed ${pointText(point)}\n`);
  process.kill(process.pid, 'SIGKILL');
}

/** What `logs.follow` answers: its methods are steps too. */
function isConsole(value: unknown): value is ConsoleLog {
  return typeof value === 'object' && value !== null && 'finish' in value && 'pause' in value;
}
