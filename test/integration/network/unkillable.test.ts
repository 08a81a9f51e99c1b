import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { runPlugin } from '../../../src/network/cni/plugin-process.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeNode, request, soon } from './node.ts';

/** ptrace(2) has this number; 0x4206 is PTRACE_SEIZE. */
const ptrace = process.arch === 'arm64' ? 117 : 101;

/**
 * A plugin whose end its parent does not hear of, though it is killed: its tracer, which has left its process group, would have to hear of
 * it first and does not listen. To whoever waits it is as one that hangs in the kernel.
 */
function installUnkillable(file: string): void {
  const tracer = `syscall(${ptrace}, 0x4206, $ARGV[0] + 0, 0, 0) == 0 or die; open(F, ">", "$ARGV[1].traced"); sleep 1000`;
  writeFileSync(
    file,
    `#!/bin/sh\nsetsid perl -e '${tracer}' $$ ${file} >/dev/null 2>&1 & echo $! > ${file}.tracer\nuntil [ -e ${file}.traced ]; do sleep 0.01; done\nexec sleep 1000\n`,
  );
  chmodSync(file, 0o755);
  onTestFinished(() => void process.kill(Number(readFileSync(`${file}.tracer`, 'utf8')), 'SIGKILL'));
}

it('a plugin that SIGKILL does not end is not waited for', async () => {
  const program = join(tempDir(), 'plugin');
  installUnkillable(program);
  const env = { PATH: process.env['PATH'] ?? '' };
  const run = await runPlugin({ program, env, input: '{}', timeoutMs: 3_000, maxOutputBytes: 1_000 }, soon());
  expect(existsSync(`${program}.traced`)).toBe(true);
  expect(run).toEqual({ exitCode: undefined, signal: undefined, stdout: '', stderr: '', ended: 'deadline' });
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
