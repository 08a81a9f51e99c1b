import { LibvirtError, libvirtNumbers, type LibvirtClient } from '../../src/libvirt/libvirt.ts';

const xml = (name: string, uuid: string): string =>
  `<domain type='test'><name>${name}</name><uuid>${uuid}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>`;
const built = { name: 'test', uuid: '6695eb01-f6a4-8304-79aa-97f2502e193f' };
const defined = { name: 'défini', uuid: '0b2f6a3e-6f0f-4c0e-9d5b-0f3b1f6f2a11' };
const transient = { name: 'transient', uuid: '7d0c8a52-1be4-4f6e-8d9c-5a4f3e2d1c0b' };
const element = { type: libvirtNumbers.domainMetadataType.element, uri: 'urn:x' } as const;
const { domainAffect, domainMetadataType, domainListFlag, domainStatsGroup, domainXmlFlag } = libvirtNumbers;

/** One call of each procedure, in an order that works on a fresh `test:///default`, good and bad ends. */
export const libvirtCalls: readonly (readonly [string, (client: LibvirtClient) => Promise<unknown>])[] = [
  ['version', ({ query }) => query.host.version()],
  ['libVersion', ({ query }) => query.host.libVersion()],
  ['hostname', ({ query }) => query.host.hostname()],
  ['nodeInfo', ({ query }) => query.host.nodeInfo()],
  ['capabilities', ({ query }) => query.host.capabilities()],
  ['domainCapabilities', ({ query }) => query.host.domainCapabilities({ arch: 'i686', virtType: 'test' }, 0)],
  ['list', ({ query }) => query.domains.list(0)],
  ['lookupByName', ({ query }) => query.domains.lookupByName('test')],
  ['lookupByName of none', ({ query }) => query.domains.lookupByName('nobody')],
  ['lookupByUuid', ({ query }) => query.domains.lookupByUuid(built.uuid)],
  ['state', ({ query }) => query.domains.state(built, 0)],
  ['xml', ({ query }) => query.domains.xml(built, domainXmlFlag.inactive)],
  ['define', ({ query }) => query.domains.define(xml(defined.name, defined.uuid), 0)],
  ['define of no XML', ({ query }) => query.domains.define('no XML', 0)],
  ['list of inactive', ({ query }) => query.domains.list(domainListFlag.inactive)],
  ['metadata of none', ({ query }) => query.domains.metadata(defined, element, domainAffect.config)],
  ['setMetadata', ({ query }) => query.domains.setMetadata(defined, { ...element, key: 'x', value: '<a b="ü"/>' }, domainAffect.config)],
  ['metadata', ({ query }) => query.domains.metadata(defined, element, domainAffect.config)],
  [
    'setMetadata of a title',
    ({ query }) => query.domains.setMetadata(defined, { type: domainMetadataType.title, value: 't' }, domainAffect.config),
  ],
  ['create', ({ query }) => query.domains.create(defined, 0)],
  ['create twice', ({ query }) => query.domains.create(defined, 0)],
  ['register', ({ query }) => query.events.register(0, defined)],
  ['suspend', ({ query }) => query.domains.suspend(defined)],
  ['state of paused', ({ query }) => query.domains.state(defined, 0)],
  ['resume', ({ query }) => query.domains.resume(defined)],
  ['deregister', ({ query }) => query.events.deregister(6)],
  ['statistics', ({ query }) => query.domains.statistics([built], domainStatsGroup.state, 0)],
  ['statistics of all', ({ query }) => query.domains.statistics([], 0, 0)],
  ['shutdown', ({ query }) => query.domains.shutdown(defined, 0)],
  ['info of shut off', ({ query }) => query.domains.info(defined)],
  ['undefine', ({ query }) => query.domains.undefine(defined, 0)],
  ['createXml', ({ query }) => query.domains.createXml(xml(transient.name, transient.uuid), 0)],
  ['reset', ({ query }) => query.domains.reset(transient, 0)],
  ['reboot', ({ query }) => query.domains.reboot(transient, 0)],
  ['destroy', ({ query }) => query.domains.destroy(transient, 0)],
  ['destroy of none', ({ query }) => query.domains.destroy(transient, 0)],
  ['agentCommand', ({ query }) => query.qemu.agentCommand(built, '{"execute":"guest-ping"}', libvirtNumbers.agentTimeout.default, 0)],
  ['monitorCommand', ({ query }) => query.qemu.monitorCommand(built, '{"execute":"query-status"}', libvirtNumbers.monitorFlag.qmp)],
];

/** What each of `libvirtCalls` answers or fails with. */
export async function answersOf(client: LibvirtClient): Promise<Readonly<Record<string, unknown>>> {
  const answers: Record<string, unknown> = {};
  for (const [name, call] of libvirtCalls) answers[name] = await call(client).catch(errorFacts);
  return answers;
}

/** As JSON, with maps as objects and bigints as `123n`. */
export function printed(value: unknown): string {
  const plain = (_key: string, item: unknown): unknown => {
    if (typeof item === 'bigint') return `${item}n`;
    if (item instanceof Map) return Object.fromEntries(item as ReadonlyMap<string, unknown>);
    return item === undefined ? 'undefined' : item;
  };
  return `${JSON.stringify(value, plain, 2)}\n`;
}

function errorFacts(error: unknown): unknown {
  if (!(error instanceof LibvirtError)) throw error;
  const { code, domain, level, message, details } = error;
  return { error: { code, domain, level, message, details } };
}
