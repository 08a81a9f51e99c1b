import { execFileSync, spawn } from 'node:child_process';
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
    onAdd: z.enum(['pass', 'fail', 'hang', 'garbage', 'no-ips', 'flood', 'crash']).default('pass'),
    onDel: z.enum(['pass', 'fail', 'hang']).default('pass'),
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

const { prevResult: given = { ips: [] } } = input;
const behaviours = {
  pass: () => (command === 'ADD' ? process.stdout.write(JSON.stringify({ ...given, cniVersion: input.cniVersion })) : undefined),
  fail: () => {
    process.stdout.write(JSON.stringify({ cniVersion: input.cniVersion, code: 107, msg: 'the switch is on fire', details: 'port 7' }));
    process.exitCode = 1;
  },
  hang: () => {
    const child = spawn('sleep', ['1000'], { stdio: 'inherit' });
    writeFileSync(`${input.journal}.pids`, `${process.pid} ${child.pid}`);
  },
  garbage: () => process.stdout.write('all is well'),
  'no-ips': () => process.stdout.write(JSON.stringify({ ...given, cniVersion: input.cniVersion, ips: [] })),
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
