import { getEventListeners } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ProgramError, runProgram, tryProgram } from '../../../src/lib/run-program.ts';
import { identify, isAlive } from '../../../src/lib/helper-process.ts';
import { signalProcess } from '../../lib/processes.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

const signal = new AbortController().signal;
/** A shell has said its first word by then, also on a busy machine. */
const longEnoughToStartMs = 1_500;
const sh = (script: string, ...rest: readonly string[]): readonly string[] => ['-c', script, ...rest];

describe('a program that ends', () => {
  it('tells what it printed and its exit status', async () => {
    const result = await tryProgram('sh', sh('echo out; printf bad >&2; exit 3'), { signal });
    expect(result).toEqual({ stdout: 'out\n', stderr: 'bad', exitCode: 3, signal: undefined });
  });

  it('tells the signal that ended it', async () => {
    const result = await tryProgram('sh', sh('echo part; kill -TERM $$'), { signal });
    expect(result).toEqual({ stdout: 'part\n', stderr: '', exitCode: undefined, signal: 'SIGTERM' });
  });

  it('gets its arguments as they are, its input, its directory, and nothing of our environment', async () => {
    process.env['VMLET_TEST_SECRET'] = 'secret';
    try {
      const cwd = tempDir();
      const script = 'cat; printf "[%s]" "$@"; pwd; env | cut -d= -f1 | sort';
      const { stdout } = await runProgram('sh', sh(script, 'sh', '$HOME', 'a b', '', '*'), { signal, cwd, input: 'in|' });
      expect(stdout).toBe(`in|[$HOME][a b][][*]${cwd}\nLC_ALL\nPATH\nPWD\n`);
      const { stdout: own } = await runProgram('env', [], { signal, env: { ONLY: 'this' } });
      expect(own).toBe('ONLY=this\n');
    } finally {
      delete process.env['VMLET_TEST_SECRET'];
    }
  });

  it('has an empty input unless it is given one, and need not read it', async () => {
    expect((await runProgram('cat', [], { signal })).stdout).toBe('');
    await runProgram('true', [], { signal, input: 'x'.repeat(5_000_000) });
  });

  it('is found in sbin also when our own PATH lacks it', async () => {
    const path = process.env['PATH'];
    process.env['PATH'] = '/nowhere';
    try {
      expect((await runProgram('sh', sh('echo "$PATH"'), { signal })).stdout).toContain('/usr/sbin:');
    } finally {
      process.env['PATH'] = path;
    }
  });
});

describe('a failure', () => {
  it('of runProgram names the command and quotes the end of stderr', async () => {
    const error = await failure(runProgram('sh', sh('echo first >&2; echo "no such bridge" >&2; exit 3'), { signal }));
    expect(error.message).toMatch(/^sh -c .*: exit status 3: .*no such bridge$/s);
    expect(error).toMatchObject({ name: 'ProgramError', program: 'sh', timedOut: false, result: { exitCode: 3 } });
    const long = await failure(runProgram('sh', sh('yes line | head -n 1000 >&2; echo end >&2; exit 1'), { signal }));
    expect(long.message.length).toBeLessThan(2_500);
    expect(long.message).toMatch(/line\nend$/);
    expect((await failure(runProgram('sh', sh('kill -KILL $$'), { signal }))).message).toContain('ended by SIGKILL');
  });

  it.each([
    ['no such program', 'vmlet-no-such-program', {}],
    ['not executable', '/etc/passwd', {}],
    ['no such directory', 'true', { cwd: '/no/such/directory' }],
  ])('to start (%s) is a ProgramError, not an exit', async (_name, program, options) => {
    const error = await failure(tryProgram(program, [], { signal, ...options }));
    expect(error).toMatchObject({ timedOut: false, result: { exitCode: undefined, signal: undefined } });
    expect(error.message).toContain(program);
  });
});

describe('a program that takes or prints too much', () => {
  it('is ended, and the error says so and keeps what it had printed', async () => {
    const { script, pid } = recordingPid('echo begun; exec sleep 60');
    const error = await failure(tryProgram('sh', sh(script), { signal, timeoutMs: longEnoughToStartMs }));
    expect(error).toMatchObject({ timedOut: true, result: { stdout: 'begun\n' } });
    expect(error.message).toContain(`${longEnoughToStartMs} ms`);
    expectGone(pid());
  });

  it('is killed 2 s later when it ignores SIGTERM', async () => {
    const { script, pid } = recordingPid('trap "" TERM; while :; do sleep 0.1; done');
    const start = performance.now();
    const error = await failure(tryProgram('sh', sh(script), { signal, timeoutMs: longEnoughToStartMs }));
    expect(error.timedOut).toBe(true);
    expect(performance.now() - start).toBeGreaterThan(longEnoughToStartMs + 1_900);
    expectGone(pid());
  });

  // What a program leaves behind may hold its output open for ever.
  const leftBehind = 'sleep 30 & echo $! >"$0"';
  it.each([
    ['has ended but left a process with its output', leftBehind, { timeoutMs: longEnoughToStartMs }, true],
    [
      'ignores SIGTERM and has a child with its output',
      `trap "" TERM; ${leftBehind}; while :; do sleep 0.1; done`,
      { timeoutMs: longEnoughToStartMs },
      true,
    ],
    ['prints too much and has a child with its output', `${leftBehind}; exec yes`, { maxOutputBytes: 1_000 }, false],
  ])('is waited for no longer when it %s', async (_name, script, options, timedOut) => {
    const file = join(tempDir(), 'pid');
    const start = performance.now();
    try {
      const error = await failure(tryProgram('sh', sh(script, file), { signal, ...options }));
      expect(error.timedOut).toBe(timedOut);
      expect(performance.now() - start).toBeLessThan(15_000);
    } finally {
      signalProcess(Number(readFileSync(file, 'utf8')), 'SIGKILL');
    }
  });
});

describe('a caller that gives up', () => {
  it('gets its own reason, once the program is gone', async () => {
    const stop = new AbortController();
    const { script, file, pid } = recordingPid('exec sleep 60');
    const running = tryProgram('sh', sh(script), { signal: stop.signal });
    await waitFor(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'), { timeoutMs: 10_000, what: 'start of the program' });
    stop.abort(new Error('the kubelet hung up'));
    await expect(running).rejects.toThrow('the kubelet hung up');
    expectGone(pid());
  });

  it('beforehand starts nothing', async () => {
    const file = join(tempDir(), 'made');
    await expect(tryProgram('touch', [file], { signal: AbortSignal.abort(new Error('too late')) })).rejects.toThrow('too late');
    expect(existsSync(file)).toBe(false);
  });

  it('leaves no listener on a signal that lives long', async () => {
    const { signal: long } = new AbortController();
    await runProgram('true', [], { signal: long });
    expect(getEventListeners(long, 'abort')).toEqual([]);
  });
});

describe('too much output', () => {
  it('ends the program, whatever it does about signals', async () => {
    const { script, pid } = recordingPid('trap "" TERM; yes; while :; do sleep 0.1; done');
    const error = await failure(tryProgram('sh', sh(script), { signal, maxOutputBytes: 1_000 }));
    expect(error).toMatchObject({ timedOut: false });
    expect(error.result.stdout.length).toBeLessThanOrEqual(1_000);
    expectGone(pid());
  });

  it.each(['1', '2'])('is counted in bytes, in each of the two outputs (%s)', async (fd) => {
    const script = 'printf "é€" >&$0'; // 5 bytes, 2 characters
    const exact = await tryProgram('sh', sh(script, fd), { signal, maxOutputBytes: 5 });
    expect(exact.stdout + exact.stderr).toBe('é€');
    const error = await failure(tryProgram('sh', sh(script, fd), { signal, maxOutputBytes: 4 }));
    expect(error.message).toContain('maxBuffer');
  });

  it('is no matter below 1 MiB, and comes whole', async () => {
    const file = join(tempDir(), 'text');
    const text = 'zwölf Boxkämpfer\n'.repeat(50_000);
    writeFileSync(file, text);
    const { stdout } = await runProgram('cat', [file], { signal });
    expect(stdout === text).toBe(true);
  });
});

/** A script that writes its pid to a file first. */
function recordingPid(script: string): { readonly script: string; readonly file: string; readonly pid: () => number } {
  const file = join(tempDir(), 'pid');
  return { script: `echo $$ >${file}; ${script}`, file, pid: () => Number(readFileSync(file, 'utf8')) };
}

function expectGone(pid: number): void {
  const left = identify(pid);
  expect(left && isAlive(left)).toBeFalsy();
}

async function failure(work: Promise<unknown>): Promise<ProgramError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ProgramError)) throw new Error('not a ProgramError', { cause: error });
  return error;
}
