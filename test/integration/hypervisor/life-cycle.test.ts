import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HypervisorService, VmEvent, VmSpec } from '../../../src/hypervisor/hypervisor.ts';
import { waitFor } from '../../lib/wait.ts';
import { consoleSays, soon, startOwnHypervisor, type OwnHypervisor } from './own-hypervisor.ts';
import { bootMarker, makeVmSpec, vmUid } from './vm-fixture.ts';

let own: OwnHypervisor;
let hypervisor: HypervisorService;
beforeAll(async () => {
  own = await startOwnHypervisor();
  hypervisor = own.hypervisor();
});
afterAll(async () => own?.[Symbol.asyncDispose]());

async function boot(kind: Parameters<typeof makeVmSpec>[1]): Promise<{ spec: VmSpec; pid: number }> {
  const spec = makeVmSpec(own.dir, kind, hypervisor.gid);
  await hypervisor.define(spec, soon());
  const { pid } = await hypervisor.startPaused(spec.name, 0, soon());
  await hypervisor.resume(spec.name, soon());
  await consoleSays(spec.console.logPath, bootMarker(kind));
  return { spec, pid };
}

async function stoppedEvent(name: string): Promise<VmEvent> {
  return waitFor(() => own.events.find((event) => event.name === name && event.kind === 'stopped'), {
    timeoutMs: 60_000,
    what: `end of ${name}`,
  });
}

describe('the life of a VM', () => {
  it('is defined, starts paused, runs, is observed, destroyed and forgotten', async () => {
    const spec = makeVmSpec(own.dir, 'halt', hypervisor.gid);
    expect(await hypervisor.observe(spec.name, soon())).toBeUndefined();
    await hypervisor.define(spec, soon());
    const { name, uuid, identity } = spec;
    expect(await hypervisor.observe(name, soon())).toEqual(
      expect.objectContaining({ name, uuid, identity, state: 'off', endCause: undefined }),
    );
    expect(await hypervisor.pidOf(name)).toBeUndefined();
    await hypervisor.define(spec, soon());

    const { pid, vcpuTids } = await hypervisor.startPaused(name, 0, soon());
    expect(await hypervisor.pidOf(name)).toBe(pid);
    expect(vcpuTids).toHaveLength(2);
    expect(await hypervisor.observe(name, soon())).toMatchObject({ state: 'paused' });
    const { size, uid, mode } = statSync(spec.console.logPath);
    expect({ size, uid, mode: mode & 0o777 }).toEqual({ size: 0, uid: 0, mode: 0o600 });
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    expect(status).toMatch(new RegExp(`^Uid:\\s+${vmUid}\\s+${vmUid}`, 'm'));
    expect(status).toMatch(/^Seccomp:\s+2$/m);
    expect(statSync(spec.rootDisk.base.path).uid).toBe(0);

    await hypervisor.resume(name, soon());
    await consoleSays(spec.console.logPath, bootMarker('halt'));
    expect(await hypervisor.list(soon())).toContainEqual(expect.objectContaining({ name, state: 'running' }));

    await hypervisor.requestShutdown(name, soon());
    await hypervisor.destroy(name, soon());
    expect(await stoppedEvent(name)).toMatchObject({ cause: 'destroyed' });
    expect(await hypervisor.observe(name, soon())).toMatchObject({ state: 'off', endCause: 'destroyed' });
    await hypervisor.destroy(name, soon());
    await hypervisor.undefine(name, soon());
    await hypervisor.undefine(name, soon());
    expect(await hypervisor.observe(name, soon())).toBeUndefined();
    expect(own.events.filter((event) => event.name === name).map(({ kind }) => kind)).toEqual(['started', 'paused', 'resumed', 'stopped']);
  });

  it('has virtual functions as libvirt reads them, and does not start on a node without them', async () => {
    const mac = '02:42:0a:00:00:03';
    const spec: VmSpec = {
      ...makeVmSpec(own.dir, 'halt', hypervisor.gid),
      interfaces: [
        { kind: 'device', mac, pciAddress: '0000:3b:02.1', vlan: 100 },
        { kind: 'device', mac, pciAddress: '10000:e1:1f.7' },
      ],
    };
    await hypervisor.define(spec, soon());
    const known = execFileSync('virsh', ['-c', own.virshUri, 'dumpxml', spec.name], { encoding: 'utf8' });
    const [first = '', second = ''] = known.split("<interface type='hostdev' managed='yes'>").slice(1);
    for (const said of [
      "<mac address='02:42:0a:00:00:03'/>",
      "<driver name='vfio'/>",
      "<address type='pci' domain='0x0000' bus='0x3b' slot='0x02' function='0x1'/>",
      "<tag id='100'/>",
      "<address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>",
    ])
      expect(first).toContain(said);
    expect(second).toContain("<address type='pci' domain='0x10000' bus='0xe1' slot='0x1f' function='0x7'/>");
    expect(second).toContain("<address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>");
    expect(second).not.toContain('<vlan>');
    await expect(hypervisor.startPaused(spec.name, 0, soon())).rejects.toThrow(/VFIO|0000:3b:02\.1/);
    expect(await hypervisor.observe(spec.name, soon())).toMatchObject({ state: 'off' });
    await hypervisor.undefine(spec.name, soon());
  });

  it.each([
    ['off', 'shutdown'],
    ['panic', 'panicked'],
  ] as const)('tells that a guest of the kind %s ended: %s', async (kind, cause) => {
    const spec = makeVmSpec(own.dir, kind, hypervisor.gid);
    await hypervisor.define(spec, soon());
    await hypervisor.startPaused(spec.name, 0, soon());
    await hypervisor.resume(spec.name, soon());
    expect(await stoppedEvent(spec.name)).toMatchObject({ cause });
    await hypervisor.undefine(spec.name, soon());
  });

  it('presses the power button of a guest without agent', async () => {
    const { spec } = await boot('acpi');
    await hypervisor.requestShutdown(spec.name, soon());
    expect(await stoppedEvent(spec.name)).toMatchObject({ cause: 'shutdown' });
    await hypervisor.requestShutdown(spec.name, soon());
    await hypervisor.undefine(spec.name, soon());
  });

  it('tells that QEMU was killed, with the end of its log', async () => {
    const { spec, pid } = await boot('halt');
    process.kill(pid, 'SIGKILL');
    expect(await stoppedEvent(spec.name)).toMatchObject({ cause: 'failed' });
    expect(await hypervisor.lastLogLines(spec.name)).toMatch(/shutting down, reason=crashed/);
    await hypervisor.undefine(spec.name, soon());
    expect(await hypervisor.lastLogLines(spec.name)).toBe('');
  });

  it('refuses to start what is not defined, and names what QEMU said when it fails', async () => {
    await expect(hypervisor.startPaused('vmlet-000000000000', 0, soon())).rejects.toThrow(/no such domain/);
    const spec = makeVmSpec(own.dir, 'halt', hypervisor.gid);
    await hypervisor.define(spec, soon());
    execFileSync('rm', [spec.rootDisk.path]);
    await expect(hypervisor.startPaused(spec.name, 0, soon())).rejects.toMatchObject({
      facts: { code: 'VM_FAILED', vm: spec.name },
      message: expect.stringContaining('root.qcow2') as string,
    });
    await hypervisor.undefine(spec.name, soon());
  });

  it('leaves no pid file of a QEMU that a killed libvirtd had not yet started', async () => {
    const spec = makeVmSpec(own.dir, 'halt', hypervisor.gid);
    await hypervisor.define(spec, soon());
    const file = join(own.dir, 'run', 'qemu', `${spec.name}.pid`);
    writeFileSync(file, String(spawnSync('true').pid));
    await hypervisor.undefine(spec.name, soon());
    expect(existsSync(file)).toBe(false);
  });

  it('leaves a domain alone that has no metadata of vmlet', async () => {
    const name = 'vmlet-ffffffffffff';
    const xml = `<domain type='qemu'><name>${name}</name><memory unit='MiB'>16</memory><os><type arch='x86_64'>hvm</type></os></domain>`;
    const file = join(own.dir, 'foreign.xml');
    writeFileSync(file, xml);
    const virsh = (...args: readonly string[]): string => execFileSync('virsh', ['-c', own.virshUri, ...args], { encoding: 'utf8' });
    virsh('define', file);
    try {
      expect(await hypervisor.observe(name, soon())).toBeUndefined();
      expect((await hypervisor.list(soon())).map((vm) => vm.name)).not.toContain(name);
      await hypervisor.undefine(name, soon());
      await hypervisor.destroy(name, soon());
      expect(virsh('list', '--all', '--name')).toContain(name);
    } finally {
      virsh('undefine', name);
    }
  });
});
