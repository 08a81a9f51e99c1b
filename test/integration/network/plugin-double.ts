import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

/**
 * A CNI plugin for tests, run as a program: what it does stands in its own configuration (`onAdd`, `onDel`). It writes every call, with
 * what it was told and the state of the pod's interface, to the file `journal`.
 */
const input = z
  .looseObject({
    cniVersion: z.string(),
    journal: z.string(),
    onAdd: z.enum(['pass', 'fail', 'hang', 'stubborn', 'stubborn-child', 'garbage', 'no-ips', 'layer-3', 'flood', 'crash']).default('pass'),
    onDel: z.enum(['pass', 'fail', 'hang', 'stubborn']).default('pass'),
    prevResult: z.record(z.string(), z.unknown()).optional(),
  })
  .parse(JSON.parse(readFileSync(0, 'utf8')));

const command = process.env['CNI_COMMAND'];
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('CNI_')));
appendFileSync(input.journal, `${JSON.stringify({ command, env, input, state: interfaceState() })}\n`);

function interfaceState(): unknown {
  const netns = process.env['CNI_NETNS'] ?? '';
  if (netns === '') return undefined;
  const ask = (...args: readonly string[]): unknown => {
    try {
      const text = execFileSync('nsenter', [`--net=${netns}`, 'ip', '-details', '-json', ...args], { encoding: 'utf8', stdio: 'pipe' });
      return JSON.parse(text === '' ? '[]' : text);
    } catch {
      return 'absent';
    }
  };
  return {
    address: ask('address', 'show', 'dev', 'eth0'),
    routes4: ask('-4', 'route', 'show', 'table', 'all'),
    routes6: ask('-6', 'route', 'show', 'table', 'main'),
  };
}

/** Waits for ever with a child, both in one process group; writes down who they are. */
function hang(child: ChildProcess): void {
  writeFileSync(`${input.journal}.pids`, `${process.pid} ${child.pid}`);
}

/** An interface without a hardware address, as tunnels are. */
function makeLayer3(): void {
  execFileSync('nsenter', [`--net=${process.env['CNI_NETNS']}`, 'ip', 'tuntap', 'add', 'dev', 'eth0', 'mode', 'tun'], { stdio: 'pipe' });
  process.stdout.write(JSON.stringify({ cniVersion: input.cniVersion, ips: [{ address: '10.213.9.2/24' }] }));
}

/** A shell program that SIGTERM does not end. */
const deaf = 'trap "" TERM; while :; do sleep 1000; done';

const { prevResult: given = { ips: [] } } = input;
const behaviours = {
  pass: () => (command === 'ADD' ? process.stdout.write(JSON.stringify({ ...given, cniVersion: input.cniVersion })) : undefined),
  fail: () => {
    process.stdout.write(JSON.stringify({ cniVersion: input.cniVersion, code: 107, msg: 'the switch is on fire', details: 'port 7' }));
    process.exitCode = 1;
  },
  hang: () => hang(spawn('sleep', ['1000'], { stdio: 'inherit' })),
  /** Its child alone outlives SIGTERM. */
  'stubborn-child': () => hang(spawn('sh', ['-c', deaf], { stdio: 'ignore' })),
  stubborn: () => {
    process.on('SIGTERM', () => undefined);
    hang(spawn('sh', ['-c', deaf], { stdio: 'ignore' }));
  },
  garbage: () => process.stdout.write('all is well'),
  'no-ips': () => process.stdout.write(JSON.stringify({ ...given, cniVersion: input.cniVersion, ips: [] })),
  'layer-3': makeLayer3,
  flood: () => {
    const block = 'x'.repeat(2 ** 16);
    const more = (): void => {
      while (process.stdout.write(block));
      process.stdout.once('drain', more);
    };
    more();
  },
  crash: () => {
    process.stderr.write('panic: index out of range');
    process.exitCode = 2;
  },
};

behaviours[command === 'ADD' ? input.onAdd : input.onDel]();
