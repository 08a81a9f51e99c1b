import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { identify } from '../../../src/lib/helper-process.ts';
import { failureOf } from '../../../src/network/cni/failure.ts';
import { runPlugin } from '../../../src/network/cni/plugin-process.ts';
import { makePluginRunner } from '../../../src/network/cni/plugin-runner.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeNode, request, soon } from './node.ts';

/** ptrace(2) has this number; 0x4206 is PTRACE_SEIZE. */
const ptrace = process.arch === 'arm64' ? 117 : 101;

const traceProgram = `syscall(${ptrace}, 0x4206, $ARGV[0] + 0, 0, 0) == 0 or die; open(F, ">", "$ARGV[1].traced"); sleep 1000`;

/**
 * A plugin whose end its parent does not hear of, though it is killed: its tracer, which has left its process group, would have to hear of
 * it first and does not listen. To whoever waits it is as one that hangs in the kernel.
 */
function installUnkillable(file: string): () => void {
  writeFileSync(
    file,
    `#!/bin/sh\nsetsid perl -e '${traceProgram}' $$ ${file} >/dev/null 2>&1 & echo $! > ${file}.tracer\nuntil [ -e ${file}.traced ]; do sleep 0.01; done\nexec sleep 1000\n`,
  );
  chmodSync(file, 0o755);
  const endTracer = (): void => {
    if (existsSync(`${file}.tracer`)) endIfThere(Number(readFileSync(`${file}.tracer`, 'utf8')));
  };
  onTestFinished(endTracer);
  return endTracer;
}

/**
 * Starts a process that SIGKILL does not end, and that is no zombie: the first of a pid namespace waits for the end of all others in it, and
 * one of these has a tracer outside that does not listen. Answers its pid once it is so.
 */
async function leaveUnkillable(env: Readonly<Record<string, string>>): Promise<number> {
  const inner = `sleep 1000 & exec sleep 1001`;
  const outer = spawn('unshare', ['--pid', '--fork', '--kill-child', 'sh', '-c', inner], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
  });
  onTestFinished(() => endIfThere(outer.pid ?? 0));
  return traceSecondOf(outer.pid ?? 0);
}

/** Traces a process of the pid namespace that a process has made for its child, the first of it; answers that child's pid. */
async function traceSecondOf(outer: number): Promise<number> {
  const file = join(tempDir(), 'second');
  const first = await waitFor(() => childrenOf(outer)[0], soonEnough);
  const second = await waitFor(() => childrenOf(first)[0], soonEnough);
  const tracer = spawn('perl', ['-e', traceProgram, String(second), file], { stdio: 'ignore' });
  onTestFinished(() => endIfThere(tracer.pid ?? 0));
  await waitFor(() => existsSync(`${file}.traced`), soonEnough);
  return first;
}

const soonEnough = { timeoutMs: 20_000, what: 'start of a helper' };

function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

function endIfThere(pid: number): void {
  if (pid > 1 && identify(pid)) process.kill(pid, 'SIGKILL');
}

/** Runs it until nothing can end it any more, then has it ended. */
async function runUnkillable(program: string, run: typeof runPlugin): ReturnType<typeof runPlugin> {
  const caller = new AbortController();
  const options = { program, env: { PATH: process.env['PATH'] ?? '' }, input: '{}', timeoutMs: 60_000, maxOutputBytes: 1_000 };
  const running = run(options, caller.signal);
  running.catch(() => undefined);
  await waitFor(() => existsSync(`${program}.traced`), { timeoutMs: 20_000, what: 'tracer' });
  caller.abort(new Error('gone'));
  return running;
}

it('a plugin that SIGKILL does not end is not waited for', async () => {
  const program = join(tempDir(), 'plugin');
  installUnkillable(program);
  const run = await runUnkillable(program, runPlugin);
  expect(run).toMatchObject({ exitCode: undefined, signal: undefined, stdout: '', stderr: '', ended: 'deadline' });
  expect(failureOf('stuck', 'ADD', run, 3_000)?.message).toBe(
    `CNI plugin stuck, ADD: no answer within 3000 ms, and SIGKILL does not end process group ${run.stuck?.pgid}`,
  );
});

it('one whose child SIGKILL does not end is known too', async () => {
  const program = join(tempDir(), 'plugin');
  writeFileSync(program, `#!/bin/sh\nunshare --pid --fork sh -c 'sleep 1000 & exec sleep 1001' & echo $! > ${program}.child; wait\n`);
  chmodSync(program, 0o755);
  const options = { program, env: { PATH: process.env['PATH'] ?? '' }, input: '{}', timeoutMs: 60_000, maxOutputBytes: 1_000 };
  const caller = new AbortController();
  const running = runPlugin(options, caller.signal);
  const outer = await waitFor(() => existsSync(`${program}.child`) && Number(readFileSync(`${program}.child`, 'utf8')), soonEnough);
  await traceSecondOf(outer);
  caller.abort(new Error('gone'));
  const { stuck } = await running;
  expect(await stuck?.isGone()).toBe(false);
});

it('the same call is not made anew while it is there, another one is', async () => {
  const program = join(tempDir(), 'plugin');
  const endTracer = installUnkillable(program);
  const run = makePluginRunner();
  await expect(runUnkillable(program, run)).rejects.toThrow('gone');
  await expect(runUnkillable(program, run)).rejects.toThrow(/^SIGKILL has not ended process group \d+ of the same call$/);
  writeFileSync(program, '#!/bin/sh\necho {}\n');
  const options = { program, env: { PATH: process.env['PATH'] ?? '' }, input: '{}', timeoutMs: 60_000, maxOutputBytes: 1_000 };
  expect(await run(options, soon())).toMatchObject({ ended: 'exit', stdout: '{}\n' });
  endTracer();
});

it('the next daemon starts beside one that a daemon before it has left', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node)]);
  const pid = await leaveUnkillable({ VMLET_GC: node.stateDir });
  const network = await node.open();
  expect(identify(pid)).toBeDefined();
  const wanted = request();
  expect((await network.attach(wanted, soon())).ips).toEqual(['10.213.7.2']);
  await network.detach(wanted.sandboxId, soon());
});

it('who waits for the network’s configuration waits no longer than its own deadline', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node)]);
  const network = await node.open();
  const answers = readFileSync(join(node.binDir, 'bridge'), 'utf8');
  installUnkillable(join(node.binDir, 'bridge'));
  await expect(network.attach(request(), AbortSignal.timeout(500))).rejects.toThrow('aborted due to timeout');
  await waitFor(() => existsSync(join(node.binDir, 'bridge.traced')), { timeoutMs: 10_000, what: 'question for its version' });
  writeFileSync(join(node.binDir, 'bridge'), answers);
  const wanted = request();
  expect((await network.attach(wanted, soon())).ips).toEqual(['10.213.7.2']);
  await network.detach(wanted.sandboxId, soon());
});
