import { execa } from 'execa';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { programPath } from '../../src/lib/run-program.ts';
import { tempDir } from '../lib/temp.ts';

const program = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

interface Outcome {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the daemon's program to its end, with a configuration, a drop-in and environment of the test's own. */
async function run(
  config: string,
  more: { dropIn?: string; args?: readonly string[]; env?: Record<string, string> } = {},
): Promise<Outcome> {
  const dir = tempDir();
  const file = join(dir, 'config.yaml');
  const confDir = join(dir, 'conf.d');
  mkdirSync(confDir);
  writeFileSync(file, config);
  if (more.dropIn !== undefined) writeFileSync(join(confDir, '10-more.yaml'), more.dropIn);
  const { exitCode, stdout, stderr } = await execa(
    process.execPath,
    [program, '--config', file, '--config-dir', confDir, ...(more.args ?? [])],
    { reject: false, timeout: 30_000, extendEnv: false, env: { PATH: programPath, ...more.env }, stdin: 'ignore' },
  );
  return { exitCode, stdout, stderr };
}

it('a bad configuration: the daemon does not start and tells all problems at once, each with key and source', async () => {
  const { exitCode, stderr } = await run('domainTyp: qemu\nvm: {maxCpus: many}\nlogLevel: loud\n', {
    dropIn: 'cni: {timeout: soon}\n',
    env: { VMLET_CONSOLE_MAX_BACKLOG: 'much' },
    args: ['--set', 'images.maxBytes=-1'],
  });
  expect(exitCode).toBe(2);
  for (const [key, source] of [
    ['domainTyp', 'config.yaml'],
    ['vm.maxCpus', 'config.yaml'],
    ['logLevel', 'config.yaml'],
    ['cni.timeout', '10-more.yaml'],
    ['console.maxBacklog', 'VMLET_CONSOLE_MAX_BACKLOG'],
    ['images.maxBytes', '--set'],
  ] as const) {
    expect(stderr.split('\n').filter((line) => line.includes(key) && line.includes(source))).toHaveLength(1);
  }
});

it('--check-config says so, and starts nothing', async () => {
  expect(await run('domainType: qemu\n', { args: ['--check-config'] })).toMatchObject({ exitCode: 0, stderr: '' });
  expect(await run('domainType: xen\n', { args: ['--check-config'] })).toMatchObject({ exitCode: 1, stdout: '' });
});

it('a socket path that Linux cannot bind is refused', async () => {
  const { exitCode, stderr } = await run(`socket: /${'x'.repeat(120)}.sock\n`);
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(/socket.*bytes/);
});

it('an unknown flag is refused', async () => {
  const { exitCode, stderr } = await run('', { args: ['--frobnicate'] });
  expect(exitCode).toBe(2);
  expect(stderr).toContain('--frobnicate');
});
