import { XMLParser } from 'fast-xml-parser';

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  isArray: (name) => name === 'guest' || name === 'machine',
});

/**
 * Finds the newest q35 machine type for x86_64 in libvirt's capabilities XML (page "Driver capabilities XML"). Aliases are named for
 * what they stand for. `undefined`: QEMU for x86_64 is not installed.
 */
export function newestMachine(capabilitiesXml: string): string | undefined {
  const guests = at(parser.parse(capabilitiesXml), 'capabilities', 'guest');
  if (!Array.isArray(guests)) return undefined;
  const arch: unknown = guests.map((guest) => at(guest, 'arch')).find((each) => at(each, '@name') === 'x86_64');
  const machines = at(arch, 'machine');
  if (!Array.isArray(machines)) return undefined;
  const names = machines.map((machine: unknown) => at(machine, '@canonical') ?? at(machine, '#text') ?? machine);
  return names
    .flatMap((name) => versionOf(name) ?? [])
    .toSorted((a, b) => compare(b.numbers, a.numbers))
    .at(0)?.name;
}

/** QEMU's program in libvirt's domain capabilities XML (page "Domain capabilities XML format"). */
export function emulatorOf(domainCapabilitiesXml: string): string | undefined {
  const path = at(parser.parse(domainCapabilitiesXml), 'domainCapabilities', 'path');
  return typeof path === 'string' && path.startsWith('/') ? path : undefined;
}

function versionOf(name: unknown): { readonly name: string; readonly numbers: readonly number[] } | undefined {
  const version = typeof name === 'string' ? /^pc-q35-([0-9]+(?:\.[0-9]+)+)$/.exec(name) : null;
  return version ? { name: version[0], numbers: (version[1] ?? '').split('.').map(Number) } : undefined;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function at(value: unknown, ...path: readonly string[]): unknown {
  let found = value;
  for (const name of path) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}
