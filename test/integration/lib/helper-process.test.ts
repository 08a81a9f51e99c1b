import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { identify, isAlive, startHelper, stopHelper, type HelperIdentity } from '../../../src/lib/helper-process.ts';
import { statFields } from '../../../src/lib/proc-stat.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

const soon = { timeoutMs: 10_000, everyMs: 10 };

describe('a helper process', () => {
  it('runs in a session of its own, with its output in the log and nothing of our environment', async () => {
    const logFile = join(tempDir(), 'log');
    const helper = await start('echo out; echo err >&2; pwd; env; exec sleep 60', logFile);
    await waitFor(() => read(logFile).includes('LC_ALL'), { ...soon, what: 'output' });
    const [, , , session] = statOf(helper.pid);
    expect(session).toBe(String(helper.pid));
    expect(read(logFile)).toMatch(/^out\nerr\n\/\n/);
    expect(read(logFile)).not.toMatch(/^(HOME|NODE_ENV|VITEST)=/m);
    expect(statSync(logFile).mode & 0o777).toBe(0o600);
    expect(identify(helper.pid)).toEqual(helper);
  });

  it('appends to its log', async () => {
    const logFile = join(tempDir(), 'log');
    for (const word of ['first', 'second']) {
      const helper = await start(`echo ${word}`, logFile);
      await waitFor(() => !isAlive(helper), { ...soon, what: 'end' });
    }
    expect(read(logFile)).toBe('first\nsecond\n');
  });

  it('outlives the process that started it', async () => {
    const dir = tempDir();
    const module = new URL('../../../src/lib/helper-process.ts', import.meta.url).pathname;
    const script = `import { startHelper } from '${module}';
      console.log(JSON.stringify(await startHelper('sleep', ['60'], { logFile: '${join(dir, 'log')}' })));`;
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let printed = '';
    parent.stdout.on('data', (bytes: Buffer) => (printed += bytes.toString()));
    // It ends by itself: a helper that runs does not keep its parent.
    expect(await new Promise((resolve) => void parent.once('close', resolve))).toBe(0);
    const helper = JSON.parse(printed) as HelperIdentity;
    onTestFinished(async () => stopHelper(helper));
    expect(isAlive(helper)).toBe(true);
  });

  it('that cannot be executed is told at once', async () => {
    const dir = tempDir();
    await expect(startHelper('vmlet-no-such-program', [], { logFile: join(dir, 'log') })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(startHelper('/etc/passwd', [], { logFile: join(dir, 'log') })).rejects.toMatchObject({ code: 'EACCES' });
    await expect(startHelper('sleep', ['60'], { logFile: join(dir, 'absent', 'log') })).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('does not leave the log open in the process that started it', async () => {
    const logFile = join(tempDir(), 'log');
    const helper = await start('exec sleep 60', logFile);
    expect(openFilesOf(process.pid)).not.toContain(logFile);
    expect(openFilesOf(helper.pid)).toContain(logFile);
  });
});

describe('an identity', () => {
  it('is of exactly one process: another with the same pid is another one', async () => {
    const helper = await start('exec sleep 60');
    expect(isAlive(helper)).toBe(true);
    const other = { ...helper, startTicks: String(Number(helper.startTicks) - 1) };
    expect(isAlive(other)).toBe(false);
    await stopHelper(other); // must not touch the process that has the pid now
    expect(isAlive(helper)).toBe(true);
  });

  it('is read rightly from a process whose name has spaces and parentheses', async () => {
    const dir = tempDir();
    const helper = await start(`ln -s "$(command -v sleep)" '${dir}/a) S (1'; exec '${dir}/a) S (1' 60`);
    await waitFor(() => readFileSync(`/proc/${helper.pid}/comm`, 'utf8') === 'a) S (1\n', { ...soon, what: 'strange name' });
    expect(identify(helper.pid)).toEqual(helper);
    expect(helper.startTicks).toMatch(/^[1-9][0-9]*$/);
  });

  it('is not had by a process that is gone, nor by a zombie', async () => {
    const helper = await start('exit 0');
    await waitFor(() => !isAlive(helper), { ...soon, what: 'end' });
    expect(identify(helper.pid)).toBeUndefined();

    const pidFile = join(tempDir(), 'pid');
    // It ends when its parent is a sleep, which never waits for its children; a shell may.
    const child = 'until grep -qx sleep /proc/$PPID/comm; do sleep 0.05; done';
    const parent = await start(`sh -c '${child}' & echo $! >${pidFile}; exec sleep 60`);
    await waitFor(() => existsSync(pidFile) && read(pidFile).endsWith('\n'), { ...soon, what: 'pid' });
    const zombie = Number(read(pidFile));
    await waitFor(() => statOf(zombie)[0] === 'Z', { ...soon, what: 'zombie' });
    expect(identify(zombie)).toBeUndefined();
    expect(isAlive(parent)).toBe(true);
  });
});

describe('stopHelper', () => {
  it('lets a helper end by itself, and returns when it is gone', async () => {
    const logFile = join(tempDir(), 'log');
    const helper = await start('trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.05; done', logFile);
    await waitFor(() => read(logFile) === 'ready\n', { ...soon, what: 'trap' });
    await stopHelper(helper, 10_000);
    expect([isAlive(helper), read(logFile)]).toEqual([false, 'ready\nbye\n']);
    await stopHelper(helper);
  });

  it('kills one that ignores SIGTERM after the grace period', async () => {
    const logFile = join(tempDir(), 'log');
    const helper = await start('trap "" TERM; echo ready; while :; do sleep 0.05; done', logFile);
    await waitFor(() => read(logFile) === 'ready\n', { ...soon, what: 'trap' });
    const begin = performance.now();
    await stopHelper(helper, 300);
    expect(performance.now() - begin).toBeGreaterThanOrEqual(300);
    expect(isAlive(helper)).toBe(false);
  });

  it('ends one that is stopped', async () => {
    const helper = await start('exec sleep 60');
    process.kill(helper.pid, 'SIGSTOP');
    await stopHelper(helper, 100);
    expect(isAlive(helper)).toBe(false);
  });
});

async function start(script: string, logFile = join(tempDir(), 'log')): Promise<HelperIdentity> {
  const helper = await startHelper('sh', ['-c', script], { logFile });
  onTestFinished(async () => stopHelper(helper, 0));
  return helper;
}

function read(file: string): string {
  return readFileSync(file, 'utf8');
}

function statOf(pid: number): readonly string[] {
  return statFields(readFileSync(`/proc/${pid}/stat`, 'latin1'));
}

function openFilesOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // closed meanwhile
    }
  });
}
