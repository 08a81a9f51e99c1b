import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ensureTinyImage } from '../../../images/tiny/image.ts';
import { waitFor } from '../../lib/wait.ts';
import { consoleSays, soon, startOwnHypervisor } from './own-hypervisor.ts';
import { vmSpecOn } from './vm-fixture.ts';

/** Emulated on a busy machine the guest takes up to half a minute. */
const bootMs = 180_000;

it('a guest that does not listen to the power button is shut down by its agent', { timeout: 600_000 }, async () => {
  const image = await ensureTinyImage(() => undefined, AbortSignal.timeout(300_000));
  await using own = await startOwnHypervisor();
  const base = join(own.dir, 'tiny.qcow2');
  copyFileSync(image, base);
  chmodSync(base, 0o644);
  const hypervisor = own.hypervisor();
  const spec = vmSpecOn({ path: base, format: 'qcow2' }, own.dir, hypervisor.gid);
  await hypervisor.define(spec, soon());
  await hypervisor.startPaused(spec.name, 0, soon());
  await hypervisor.resume(spec.name, soon());
  await consoleSays(spec.console.logPath, 'tiny: boot finished', bootMs);

  const agent = (command: object): string =>
    execFileSync('virsh', ['-c', own.virshUri, 'qemu-agent-command', spec.name, JSON.stringify(command)], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  const answers = (): boolean => {
    try {
      return agent({ execute: 'guest-ping' }).includes('return');
    } catch {
      return false;
    }
  };
  await waitFor(answers, { timeoutMs: 60_000, what: 'the agent' });
  agent({ execute: 'guest-exec', arguments: { path: 'killall', arg: ['-9', 'acpid'] } });

  await hypervisor.requestShutdown(spec.name, soon());
  const ended = await waitFor(() => own.events.find(({ kind }) => kind === 'stopped'), { timeoutMs: 60_000, what: 'the end' });
  expect(ended).toMatchObject({ name: spec.name, cause: 'shutdown' });
  await hypervisor.undefine(spec.name, soon());
});
