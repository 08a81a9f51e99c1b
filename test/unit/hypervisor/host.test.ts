import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { emulatorOf, newestMachine } from '../../../src/hypervisor/capabilities.ts';
import { boundDirectories, libvirtdConf, qemuConf } from '../../../src/hypervisor/libvirtd-files.ts';
import { kvmGroup } from '../../../src/hypervisor/vm-files.ts';
import { tempDir } from '../../lib/temp.ts';

function capabilities(...machines: readonly string[]): string {
  const other = "<guest><os_type>hvm</os_type><arch name='i686'><machine>pc-q35-99.0</machine></arch></guest>";
  return `<capabilities><host/>${other}<guest><os_type>hvm</os_type><arch name='x86_64'>${machines.join('')}</arch></guest></capabilities>`;
}

describe('newestMachine', () => {
  it('compares versions as numbers and takes aliases for what they stand for', () => {
    expect(
      newestMachine(capabilities('<machine>pc-q35-7.2</machine>', '<machine>pc-q35-10.1</machine>', '<machine>pc-q35-9.2.1</machine>')),
    ).toBe('pc-q35-10.1');
    expect(
      newestMachine(capabilities("<machine canonical='pc-q35-7.2' maxCpus='288'>q35</machine>", '<machine>pc-i440fx-8.0</machine>')),
    ).toBe('pc-q35-7.2');
  });

  it('is none without QEMU for x86_64, without q35, and for other documents', () => {
    expect(newestMachine('<capabilities><host/></capabilities>')).toBeUndefined();
    expect(newestMachine(capabilities('<machine>pc-i440fx-8.0</machine>'))).toBeUndefined();
    expect(newestMachine('')).toBeUndefined();
  });
});

describe('emulatorOf', () => {
  it('is an absolute path, or none', () => {
    expect(emulatorOf('<domainCapabilities><path>/usr/bin/qemu-system-x86_64</path></domainCapabilities>')).toBe(
      '/usr/bin/qemu-system-x86_64',
    );
    expect(emulatorOf('<domainCapabilities><path>qemu</path></domainCapabilities>')).toBeUndefined();
    expect(emulatorOf('<domainCapabilities/>')).toBeUndefined();
  });
});

describe('kvmGroup', () => {
  it('is found by its name alone, and named with the fix when it is missing', async () => {
    const file = join(tempDir(), 'group');
    writeFileSync(file, 'root:x:0:\nqemukvm:x:5:\nkvm:x:106:alice\n');
    expect(await kvmGroup(file)).toBe(106);
    writeFileSync(file, 'root:x:0:\n');
    await expect(kvmGroup(file)).rejects.toThrow(/group kvm.*groupadd/);
  });
});

describe('configuration of vmlet’s libvirtd', () => {
  it('lets root in alone, and leaves cgroups and owners to vmlet', () => {
    expect(libvirtdConf).toContain('unix_sock_rw_perms = "0700"\n');
    expect(libvirtdConf).toContain('max_client_requests = 100\n');
    expect(qemuConf).toContain('cgroup_controllers = [ ]\n');
    expect(qemuConf).toContain('seccomp_sandbox = 1\n');
    expect(qemuConf).not.toContain('namespaces');
  });

  it('has each of libvirt’s directories to itself', () => {
    const places = boundDirectories({ stateDir: '/s', runDir: '/r' });
    expect(places.map(([usual]) => usual)).toEqual([
      '/etc/libvirt',
      '/var/lib/libvirt',
      '/var/cache/libvirt',
      '/var/log/libvirt',
      '/run/libvirt',
    ]);
    expect(new Set(places.map(([, own]) => own)).size).toBe(5);
  });
});
