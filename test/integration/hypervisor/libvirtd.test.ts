import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeHypervisor } from '../../../src/hypervisor/hypervisor.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { startLibvirtd } from '../../lib/libvirtd.ts';
import { waitFor } from '../../lib/wait.ts';
import { consoleSays, soon, startOwnHypervisor, type OwnHypervisor } from './own-hypervisor.ts';
import { bootMarker, makeVmSpec } from './vm-fixture.ts';

describe('a libvirtd of vmlet’s own', () => {
  let own: OwnHypervisor;
  beforeAll(async () => {
    own = await startOwnHypervisor('auto');
  });
  afterAll(async () => own?.[Symbol.asyncDispose]());

  it('is ready when it is started, and says when VMs are emulated', () => {
    const { ready, message } = own.hypervisor().condition();
    expect(ready).toBe(true);
    const emulated = own.hypervisor().accelerator() === 'qemu';
    expect(message.startsWith('VMs are emulated without KVM, which is slow: ')).toBe(emulated);
  });

  it('is adopted by the next daemon, with its VMs', async () => {
    const spec = makeVmSpec(own.dir, 'tick', own.hypervisor().gid);
    await own.hypervisor().define(spec, soon());
    const { pid } = await own.hypervisor().startPaused(spec.name, 0, soon());
    await own.hypervisor().resume(spec.name, soon());
    await consoleSays(spec.console.logPath, `${bootMarker('tick')} 2`);
    const before = own.libvirtdPid();
    await own.restart();
    expect(own.libvirtdPid()).toBe(before);
    expect(await own.hypervisor().observe(spec.name, soon())).toMatchObject({ state: 'running', identity: spec.identity });
    expect(await own.hypervisor().pidOf(spec.name)).toBe(pid);
    await own.hypervisor().destroy(spec.name, soon());
    await own.hypervisor().undefine(spec.name, soon());
  });

  it('is started again after it was killed; VMs live on, and a listener is told to list', async () => {
    const hypervisor = own.hypervisor();
    const spec = makeVmSpec(own.dir, 'halt', hypervisor.gid);
    await hypervisor.define(spec, soon());
    const { pid } = await hypervisor.startPaused(spec.name, 0, soon());
    await hypervisor.resume(spec.name, soon());
    let connected = 0;
    hypervisor.onConnected(() => (connected += 1));
    const before = own.libvirtdPid();
    process.kill(before, 'SIGKILL');
    await waitFor(() => !hypervisor.condition().ready, { timeoutMs: 30_000, what: 'the loss to be seen', everyMs: 1 });
    await waitFor(() => hypervisor.condition().ready && connected === 1, { timeoutMs: 60_000, what: 'libvirtd to be back' });
    expect(own.libvirtdPid()).not.toBe(before);
    expect(await hypervisor.observe(spec.name, soon())).toMatchObject({ state: 'running' });
    expect(await hypervisor.pidOf(spec.name)).toBe(pid);
    await hypervisor.destroy(spec.name, soon());
    await hypervisor.undefine(spec.name, soon());
  });
});

describe('a libvirtd that somebody else runs', () => {
  it('that comes only after the daemon has started is told of as one that comes back', async () => {
    await using libvirtd = await startLibvirtd();
    await using own = await startOwnHypervisor(); // lends its directories
    await libvirtd.kill9();
    const external = { socketPath: libvirtd.socketPath, runDir: libvirtd.runDir };
    const options = { domainType: 'qemu', stateDir: own.dir, runtimeDir: own.dir, bootId: 'boot', external } as const;
    const hypervisor = await makeHypervisor(options, { log: silentLog });
    try {
      await hypervisor.start(1_000, soon());
      let connected = 0;
      hypervisor.onConnected(() => (connected += 1));
      await libvirtd.restart();
      await waitFor(() => connected === 1, { timeoutMs: 60_000, what: 'the first connection to be told' });
      expect(await hypervisor.list(soon())).toEqual([]);
    } finally {
      await hypervisor.close();
    }
  });

  it('is used, never started; while it is away calls fail with LIBVIRT_UNAVAILABLE', async () => {
    await using libvirtd = await startLibvirtd();
    await using own = await startOwnHypervisor(); // lends its directories
    const hypervisor = await makeHypervisor(
      {
        domainType: 'qemu',
        stateDir: own.dir,
        runtimeDir: own.dir,
        bootId: 'boot',
        external: { socketPath: libvirtd.socketPath, runDir: libvirtd.runDir },
      },
      { log: silentLog },
    );
    try {
      await hypervisor.start(60_000, soon());
      expect(hypervisor.condition().ready).toBe(true);
      await libvirtd.kill9();
      await waitFor(() => !hypervisor.condition().ready, { timeoutMs: 30_000, what: 'the loss to be seen' });
      expect(hypervisor.condition()).toMatchObject({ reason: 'LibvirtUnavailable' });
      const spec = makeVmSpec(own.dir, 'halt', hypervisor.gid);
      const unavailable = { facts: { code: 'LIBVIRT_UNAVAILABLE' } };
      await expect(hypervisor.define(spec, soon())).rejects.toMatchObject(unavailable);
      await expect(hypervisor.list(soon())).rejects.toMatchObject(unavailable);
      await expect(hypervisor.startPaused(spec.name, 0, soon())).rejects.toMatchObject(unavailable);
      await libvirtd.restart();
      await waitFor(() => hypervisor.condition().ready, { timeoutMs: 30_000, what: 'the connection to mend itself' });
      expect(await hypervisor.list(soon())).toEqual([]);
    } finally {
      await hypervisor.close();
    }
  });
});

describe('domainType kvm', () => {
  it('fails instead of falling back, or KVM has been proved', async () => {
    await using own = await startOwnHypervisor('kvm');
    const { ready, reason, message } = own.hypervisor().condition();
    const proved = own.hypervisor().accelerator() === 'kvm';
    expect({ ready, reason }).toEqual({ ready: proved, reason: proved ? '' : 'HypervisorUnusable' });
    expect(message.includes('KVM does not work')).toBe(!proved);
  });
});
