import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { identify } from '../../../src/lib/helper-process.ts';
import { failureOf } from '../../../src/network/cni/failure.ts';
import { runPlugin } from '../../../src/network/cni/plugin-process.ts';
import { makeQuestions } from '../../../src/network/cni/question.ts';
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
  const endTracer = (): void => endIfThere(Number(readFileSync(`${file}.tracer`, 'utf8')));
  onTestFinished(endTracer);
  return endTracer;
}

/**
 * Starts a process that SIGKILL does not end, and that is no zombie: the first of a pid namespace waits for the end of all others in it, and
 * one of these has a tracer outside that does not listen. Answers its pid once it is so.
 */
async function leaveUnkillable(env: Readonly<Record<string, string>>): Promise<number> {
  const dir = tempDir();
  const inner = `sleep 1000 & exec sleep 1001`;
  const outer = spawn('unshare', ['--pid', '--fork', '--kill-child', 'sh', '-c', inner], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
  });
  onTestFinished(() => endIfThere(outer.pid ?? 0));
  const first = await waitFor(() => childrenOf(outer.pid ?? 0)[0], { timeoutMs: 10_000, what: 'first of the namespace' });
  const other = await waitFor(() => childrenOf(first)[0], { timeoutMs: 10_000, what: 'another one in it' });
  const tracer = spawn('perl', ['-e', traceProgram, String(other), join(dir, 'plugin')], { stdio: 'ignore' });
  onTestFinished(() => endIfThere(tracer.pid ?? 0));
  await waitFor(() => existsSync(join(dir, 'plugin.traced')), { timeoutMs: 10_000, what: 'tracer' });
  return first;
}

function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

function endIfThere(pid: number): void {
  if (pid > 1 && identify(pid)) process.kill(pid, 'SIGKILL');
}

it('a plugin that SIGKILL does not end is not waited for', async () => {
  const program = join(tempDir(), 'plugin');
  installUnkillable(program);
  const env = { PATH: process.env['PATH'] ?? '' };
  const run = await runPlugin({ program, env, input: '{}', timeoutMs: 3_000, maxOutputBytes: 1_000 }, soon());
  expect(existsSync(`${program}.traced`)).toBe(true);
  expect(run).toMatchObject({ exitCode: undefined, signal: undefined, stdout: '', stderr: '', ended: 'deadline' });
  expect(failureOf('stuck', 'ADD', run, 3_000)?.message).toBe(
    `CNI plugin stuck, ADD: no answer within 3000 ms, and SIGKILL does not end process ${run.stuck?.pid}`,
  );
});

it('one that is asked again and again is not started anew while the one before is there', async () => {
  const program = join(tempDir(), 'plugin');
  const endTracer = installUnkillable(program);
  const question = makeQuestions();
  const options = { program, env: { PATH: process.env['PATH'] ?? '' }, input: '{}', timeoutMs: 3_000, maxOutputBytes: 1_000 };
  const { stuck } = await question(options, soon());
  await expect(question(options, soon())).rejects.toThrow(`SIGKILL has not ended process ${stuck?.pid}, which was asked before`);
  endTracer();
  await waitFor(() => stuck?.isGone(), { timeoutMs: 10_000, what: 'its end' });
  writeFileSync(program, '#!/bin/sh\necho {}\n');
  expect(await question(options, soon())).toMatchObject({ ended: 'exit', stdout: '{}\n' });
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
