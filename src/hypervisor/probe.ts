import { existsSync } from 'node:fs';
import type { LibvirtCalls } from '../libvirt/libvirt.ts';
import { emulatorOf, newestMachine } from './capabilities.ts';
import { vmFailed } from './failures.ts';
import type { HostFacts } from './host-facts.ts';
import { proveKvm } from './kvm-proof/prove.ts';

/** What a probe needs to know. */
export interface ProbeOptions {
  readonly domainType: 'auto' | 'kvm' | 'qemu';
  /** Where the verdict on KVM is kept. */
  readonly stateDir: string;
  readonly bootId: string;
}

/** What was found: facts for VMs, and why they are emulated, if they are. */
export interface Probe {
  readonly host: HostFacts;
  readonly warning: string;
}

/** libvirt starts QEMU several times to find out what it can do: 4-5 s, more on a busy host. */
const probeTimeoutMs = 120_000;

/**
 * Finds QEMU, its newest machine type and whether KVM works. libvirt's cache of QEMU's capabilities is warm afterwards, so that the first
 * pod need not wait for it. Throws VM_FAILED when VMs cannot run as configured.
 */
export async function probe(options: ProbeOptions, calls: LibvirtCalls, signal: AbortSignal): Promise<Probe> {
  const { host } = calls.within(probeTimeoutMs);
  const machine = newestMachine(await host.capabilities(signal));
  if (machine === undefined) throw vmFailed('probe', 'libvirt knows no QEMU for x86_64 with a q35 machine; install qemu-system-x86');
  const emulator = emulatorOf(await host.domainCapabilities({ arch: 'x86_64', machine, virtType: 'qemu' }, 0, signal));
  if (emulator === undefined) throw vmFailed('probe', 'libvirt does not say which program QEMU is');
  const found = { emulator, machine, vhostNet: existsSync('/dev/vhost-net') };
  if (options.domainType === 'qemu') return emulated(found, 'domainType is qemu');
  const qemuVersion = await host.version(signal);
  const verdict = await proveKvm({ emulator, qemuVersion, bootId: options.bootId }, options.stateDir, signal);
  if (!verdict.works && options.domainType === 'kvm')
    throw vmFailed('probe', `domainType is kvm, but KVM does not work: ${verdict.reason}`);
  if (!verdict.works) return emulated(found, verdict.reason);
  await host.domainCapabilities({ emulator, arch: 'x86_64', machine, virtType: 'kvm' }, 0, signal);
  return { host: { accelerator: 'kvm', ...found }, warning: '' };
}

function emulated(found: Omit<HostFacts, 'accelerator'>, why: string): Probe {
  return { host: { ...found, accelerator: 'qemu' }, warning: `VMs are emulated without KVM, which is slow: ${why}` };
}
