import { closeSync, openSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { confinedFile, runConfined, type ConfinedOptions } from '../../../../src/images/door/confined.ts';
import { tempDir } from '../../../lib/temp.ts';
import { waitFor } from '../../../lib/wait.ts';

const user = { uid: 65_534, gid: 65_534 };
const signal = AbortSignal.timeout(60_000);

async function sh(script: string, options: Partial<ConfinedOptions> = {}) {
  return runConfined(['sh', '-c', script], { user, ...options }, signal);
}

describe('a confined program', () => {
  test('is nobody, without groups, capabilities or a way to gain them', async () => {
    const { stdout } = await sh('id -u; id -G; grep -E "^(CapEff|CapBnd|CapPrm|NoNewPrivs)" /proc/self/status');
    expect(stdout.split('\n').map((line) => line.replaceAll(/\s+/g, ' '))).toEqual([
      '65534',
      '65534',
      'CapPrm: 0000000000000000',
      'CapEff: 0000000000000000',
      'CapBnd: 0000000000000000',
      'NoNewPrivs: 1',
      '',
    ]);
  });

  test('has a network of its own, with nothing in it', async () => {
    const { stdout } = await sh('readlink /proc/self/ns/net; tail -n +2 /proc/net/route | wc -l');
    const [netns, routes] = stdout.split('\n');
    expect(netns).toMatch(/^net:\[\d+\]$/);
    expect(netns).not.toBe(readlinkSync('/proc/self/ns/net'));
    expect(routes).toBe('0');
  });

  test('has limits', async () => {
    const { stdout } = await sh('ulimit -v; ulimit -t; ulimit -f; ulimit -n; ulimit -c');
    expect(stdout).toBe('1048576\n20\n0\n64\n0\n');
  });

  test('sees nothing of the daemon’s environment', async () => {
    const { stdout } = await sh('env | cut -d= -f1 | sort');
    expect(stdout.split('\n').filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_', ''].includes(name))).toEqual(['LC_ALL', 'PATH']);
  });

  test('reads the file that it is given, in a directory that it may not enter, and cannot write it', async () => {
    const file = join(tempDir(), 'disk');
    writeFileSync(file, 'content', { mode: 0o644 });
    const fd = openSync(file, 'r+');
    onTestFinished(() => closeSync(fd));
    const result = await sh(`cat ${confinedFile}; cat ${file}; echo x >${confinedFile}`, { fd });
    expect(result.stdout).toBe('content');
    expect(result.exitCode).not.toBe(0);
  });
});

describe('how it ends', () => {
  test('by itself, with its exit status', async () => {
    expect(await sh('echo out; echo err >&2; exit 3')).toEqual({
      stdout: 'out\n',
      stderr: 'err\n',
      exitCode: 3,
      signal: null,
      killed: undefined,
    });
  });

  test('by a signal of its own', async () => {
    expect(await sh('kill -SEGV $$')).toMatchObject({ exitCode: null, signal: 'SIGSEGV' });
  });

  test('by the clock, with all that it started', async () => {
    const result = await sh('sleep 987.654321 & echo $!; wait', { timeoutMs: 500 });
    expect(result).toMatchObject({ signal: 'SIGKILL', killed: 'timeout' });
    const pid = Number(result.stdout);
    await waitFor(() => !isAlive(pid), { timeoutMs: 5_000, what: 'end of the child' });
  });

  test('by too much output, of which 64 KiB are kept', async () => {
    const result = await sh('yes');
    expect(result).toMatchObject({ signal: 'SIGKILL', killed: 'output' });
    expect(result.stdout).toHaveLength(65_536);
  });

  test('by too much CPU or memory', async () => {
    expect((await sh('ulimit -t 1; while :; do :; done')).signal).toBe('SIGKILL');
    expect((await sh('head -c 2000000000 /dev/zero | tail -c 1500000000 | wc -c')).stderr).toMatch(/memory/i);
  });

  test('by an abort, with the signal’s reason', async () => {
    const controller = new AbortController();
    const run = runConfined(['sleep', '60'], { user }, controller.signal);
    setTimeout(() => controller.abort(new Error('enough')), 100);
    await expect(run).rejects.toThrow('enough');
  });

  test('never, when the program is missing', async () => {
    const result = await runConfined(['/no/such/program'], { user }, signal);
    expect(result).toMatchObject({ exitCode: 127, stderr: expect.stringContaining('No such file') });
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
