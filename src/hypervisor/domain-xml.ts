import { devices, type DiskCache } from './domain-devices.ts';
import type { HostFacts } from './host-facts.ts';
import type { VmSpec } from './vm-spec.ts';
import { identityElement } from './metadata.ts';
import { writeXml, type XmlNode } from './xml.ts';

/** MiB of QEMU's cache of translated code under TCG: 45 MB less than by default, at no cost that was seen; 16 doubles the boot's CPU time. */
const translationCacheMiB = 32;

/**
 * The domain XML of a VM (libvirt's page "Domain XML format"). What libvirt or QEMU would choose, and could choose differently after an
 * upgrade, is written out. Throws INVALID for text that XML cannot carry.
 */
export function domainXml(spec: VmSpec, host: HostFacts, cache: DiskCache): string {
  const label = `+${spec.uid}:+${spec.gid}`;
  return writeXml({
    domain: {
      '@type': host.accelerator,
      name: spec.name,
      uuid: spec.uuid,
      metadata: identityElement(spec.identity),
      memory: { '@unit': 'MiB', '#': spec.memoryMiB },
      currentMemory: { '@unit': 'MiB', '#': spec.memoryMiB },
      vcpu: { '@placement': 'static', '#': spec.vcpus },
      os: { type: { '@arch': 'x86_64', '@machine': host.machine, '#': 'hvm' } },
      features: features(host),
      cpu: { '@mode': cpuMode(host.accelerator), '@check': 'none', '@migratable': 'on' },
      clock: { '@offset': 'utc' },
      on_poweroff: 'destroy',
      on_reboot: 'restart',
      on_crash: 'destroy',
      pm: { 'suspend-to-mem': { '@enabled': 'no' }, 'suspend-to-disk': { '@enabled': 'no' } },
      devices: devices(spec, host, cache),
      seclabel: { '@type': 'static', '@model': 'dac', '@relabel': 'yes', label },
    },
  });
}

/** All that the host's CPU can do, and under TCG all that QEMU can imitate: stock images ask for more than QEMU's oldest model has. */
function cpuMode(accelerator: HostFacts['accelerator']): string {
  return accelerator === 'kvm' ? 'host-passthrough' : 'maximum';
}

function features({ accelerator }: HostFacts): XmlNode {
  const tcg: XmlNode = { tcg: { 'tb-cache': { '@unit': 'MiB', '#': translationCacheMiB } } };
  return { acpi: {}, apic: {}, ...(accelerator === 'qemu' ? tcg : {}) };
}
