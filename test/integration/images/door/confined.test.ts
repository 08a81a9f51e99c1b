import { randomInt } from 'node:crypto';
import { closeSync, fchmodSync, fstatSync, mkdirSync, openSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { confinedFile, confinedOutput, runConfined, type ConfinedOptions } from '../../../../src/images/door/confined.ts';
import { isRunning } from '../../../lib/processes.ts';
import { tempDir } from '../../../lib/temp.ts';
import { waitFor } from '../../../lib/wait.ts';
import { processesWith } from '../../../node/processes.ts';

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
    const { stdout } = await sh('readlink /proc/self/ns/net; tail -n +2 /proc/self/net/route | wc -l; tail -n +3 /proc/self/net/dev');
    const [netns, routes, ...devices] = stdout.trimEnd().split('\n');
    expect(netns).toMatch(/^net:\[\d+\]$/);
    expect(netns).not.toBe(readlinkSync('/proc/self/ns/net'));
    expect(routes).toBe('0');
    expect(devices).toEqual([expect.stringMatching(/^ *lo: +0 /)]);
  });

  test('sees programs and libraries, and nothing else of the host: no file, device, process or IPC', async () => {
    const { stdout } = await sh(
      'ls -A / /dev /etc; ls -d /proc/[0-9]* | wc -l; cat /proc/sys/kernel/hostname /etc/passwd /dev/zero /var/lib /run 2>&1 | grep -c "No such file"',
    );
    const system = ['bin', 'dev', 'etc', 'lib', 'proc', 'sbin', 'usr'];
    const [paths = '', processes, absent] = stdout.split(/\n(?=\d)/);
    const listed = paths.split(/\s+/);
    expect(listed).toEqual(expect.arrayContaining(system));
    const rest = listed.filter((name) => !system.includes(name) && !/^(lib\w+|\/(dev|etc)?:|)$/.test(name));
    expect(rest).toEqual(['null', 'ld.so.cache']);
    expect(Number(processes)).toBeLessThan(8);
    expect(Number(absent)).toBe(5);
    const spaces = (await sh('readlink /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/ipc /proc/self/ns/uts')).stdout.trim().split('\n');
    expect(spaces).toHaveLength(4);
    for (const space of spaces) expect(space).not.toBe(readlinkSync(`/proc/self/ns/${space.split(':')[0]}`));
  });

  test('can change nothing', async () => {
    const { stdout } = await sh('touch /x /usr/x /etc/x /dev/x /tmp/x 2>&1 | grep -cE "Read-only|No such file"');
    expect(stdout).toBe('5\n');
  });

  test('leaves no mount on the host', async () => {
    await sh('true');
    expect(readFileSync('/proc/self/mountinfo', 'latin1')).not.toContain(' - tmpfs cell ');
  });

  test('writes to the file that it is given for that, up to a limit', async () => {
    const fd = openSync(join(tempDir(), 'output'), 'w+', 0o666);
    onTestFinished(() => closeSync(fd));
    fchmodSync(fd, 0o666);
    const result = await sh(`head -c 2000 /usr/bin/qemu-img >${confinedOutput}`, { outputFd: fd, writtenBytes: 1_000 });
    expect(result.signal ?? result.stderr).toMatch(/SIGXFSZ|too large/);
    expect(fstatSync(fd).size).toBe(1_000);
  });

  test('has limits', async () => {
    const { stdout } = await sh('ulimit -v; ulimit -t; ulimit -f; ulimit -n; ulimit -c');
    expect(stdout).toBe('1048576\n20\n0\n64\n0\n');
  });

  test('sees nothing of the daemon’s environment', async () => {
    const { stdout } = await sh('env | cut -d= -f1 | sort');
    expect(stdout.split('\n').filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_', ''].includes(name))).toEqual([
      'LC_ALL',
      'MALLOC_ARENA_MAX',
      'PATH',
    ]);
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
    const duration = `987.${process.pid}`;
    const result = await sh(`setsid sleep ${duration} >/proc/self/fd/3 2>&1 & sleep ${duration} & echo started; wait`, {
      timeoutMs: 5_000,
    });
    expect(result).toMatchObject({ stdout: 'started\n', signal: 'SIGKILL', killed: 'timeout' });
    await waitFor(() => !isRunning('sleep', duration), { timeoutMs: 20_000, what: 'end of the children' });
  });

  test('by too much output, of which 64 KiB are kept', async () => {
    const result = await sh('yes');
    expect(result).toMatchObject({ signal: 'SIGKILL', killed: 'output' });
    expect(result.stdout).toHaveLength(65_536);
  });

  test('by too much CPU or memory', async () => {
    expect((await sh('ulimit -t 1; while :; do :; done')).signal).toBe('SIGKILL');
    expect((await sh('yes | head -c 2000000000 | tail -c 1500000000 | wc -c')).stderr).toMatch(/memory/i);
  });

  test('by an abort, with the signal’s reason', async () => {
    const controller = new AbortController();
    const command = ['sleep', `60.${randomInt(1e9)}`];
    const run = runConfined(command, { user }, controller.signal);
    run.catch(() => undefined); // until it is looked at
    await waitFor(() => processesWith([command.join(' ')]).length > 0, { timeoutMs: 20_000, what: 'program in its cell' });
    controller.abort(new Error('enough'));
    await expect(run).rejects.toThrow('enough');
  });

  test('by an error, when there can be no cell', async () => {
    const deep = join(tempDir(), 'x/'.repeat(100)); // deeper than the cell's file system has inodes
    mkdirSync(deep, { recursive: true });
    await expect(runConfined([join(deep, 'program')], { user }, signal)).rejects.toThrow(/no cell for .*No space left/s);
  });

  test('never, when the program is missing', async () => {
    const result = await runConfined(['/no/such/program'], { user }, signal);
    expect(result).toMatchObject({ exitCode: 127, stderr: expect.stringContaining('No such file') });
  });
});
