import { afterAll, beforeAll, expect, test } from 'vitest';
import { isLibvirtError, libvirtNumbers, makeLibvirtClient, type DomainEvent, type LibvirtClient } from '../../../src/libvirt/libvirt.ts';
import { startLibvirtd, type PrivateLibvirtd } from '../../lib/libvirtd.ts';
import { virsh } from '../../lib/virsh.ts';
import { waitFor } from '../../lib/wait.ts';

let libvirtd: PrivateLibvirtd;
let client: LibvirtClient;
let uri: string;
const events: DomainEvent[] = [];

beforeAll(async () => {
  libvirtd = await startLibvirtd();
  uri = libvirtd.virshUri('test');
  client = makeLibvirtClient({ socketPath: libvirtd.socketPath, uri: 'test:///default' });
  client.on('event', (event) => events.push(event));
  await client.connected(AbortSignal.timeout(30_000));
});
afterAll(async () => {
  await client?.close();
  await libvirtd?.stop();
});

test('sees the node as virsh does', async () => {
  const { cpus, memoryKiB, model } = await client.query.host.nodeInfo();
  const printed = await virsh(uri, 'nodeinfo');
  expect(printed).toMatch(new RegExp(`CPU model: +${model}\n(.|\n)*CPU\\(s\\): +${cpus}\n(.|\n)*Memory size: +${memoryKiB} KiB`));
  expect(await client.query.host.hostname()).toBe(await virsh(uri, 'hostname'));
  expect((await client.query.host.capabilities()).trim()).toBe(await virsh(uri, 'capabilities'));
});

test('a domain that it defines, virsh finds; its XML, state and metadata are those that virsh prints', async () => {
  const ours = await define('ours');
  expect(await virsh(uri, 'domuuid', 'ours')).toBe(ours.uuid);
  expect((await client.query.domains.xml(ours, 0)).trim()).toBe(await virsh(uri, 'dumpxml', 'ours'));
  expect(await client.query.domains.state(ours, 0)).toEqual({ state: 'shutoff', reason: 0 });
  expect(await virsh(uri, 'domstate', 'ours')).toBe('shut off');
  const { type, uri: namespace } = { type: libvirtNumbers.domainMetadataType.element, uri: 'urn:example' };
  const flags = libvirtNumbers.domainAffect.config;
  await client.control.domains.setMetadata(ours, { type, uri: namespace, key: 'e', value: '<note>hello</note>' }, flags);
  expect(await virsh(uri, 'metadata', 'ours', '--config', namespace)).toBe('<note>hello</note>');
  expect(await client.query.domains.metadata(ours, { type, uri: namespace }, flags)).toBe('<note>hello</note>');
  await client.control.domains.undefine(ours, 0);
  const error = await client.query.domains.lookupByUuid(ours.uuid).catch((reason: unknown) => reason);
  expect(isLibvirtError(error, libvirtNumbers.libvirtErrorCode.noDomain)).toBe(true);
});

test('what virsh does arrives as events, in order', async () => {
  events.length = 0;
  await define('watched');
  for (const command of ['start', 'suspend', 'resume', 'destroy', 'undefine']) await virsh(uri, command, 'watched');
  await waitFor(() => events.length >= 6, { timeoutMs: 20_000, what: 'six events' });
  const told = events.map((event) => (event.kind === 'lifecycle' ? `${event.domain.name} ${event.event} ${event.detail}` : event.kind));
  const { destroyed } = libvirtNumbers.stoppedDetail;
  expect(told).toEqual([
    'watched defined 0',
    'watched started 0',
    'watched suspended 0',
    'watched resumed 0',
    `watched stopped ${destroyed}`,
    'watched undefined 0',
  ]);
});

test('two hundred domains, two hundred calls at once, and one call for all', async () => {
  const names = Array.from({ length: 200 }, (_, index) => `many-${index}`);
  const domains = await Promise.all(names.map(async (name) => client.control.domains.create(await define(name), 0)));
  const infos = await Promise.all(domains.map((domain) => client.query.domains.info(domain)));
  expect(new Set(infos.map(({ state, vcpus, maxMemoryKiB }) => `${state} ${vcpus} ${maxMemoryKiB}`))).toEqual(new Set(['running 1 65536']));
  const { active } = libvirtNumbers.domainListFlag;
  const listed = (await client.query.domains.list(active)).map(({ name }) => name).toSorted();
  expect(listed).toEqual((await virsh(uri, 'list', '--name')).split('\n').toSorted());
  expect(listed).toHaveLength(201);
  const statistics = await client.query.domains.statistics([], libvirtNumbers.domainStatsGroup.state, 0);
  expect(new Set(statistics.map(({ values }) => values.get('state.state')))).toEqual(new Set([1]));
  expect(statistics).toHaveLength(201);
});

test('a refused URI is an error in the state, and no connection stays open', async () => {
  const other = makeLibvirtClient({ socketPath: libvirtd.socketPath, uri: 'nonsense:///' });
  const state = await waitFor(() => errorOf(other), { timeoutMs: 30_000, what: 'error' });
  expect(state.message).toContain('cannot open nonsense:///');
  expect(isLibvirtError(state.cause)).toBe(true);
  await other.close();
});

async function define(name: string): Promise<Awaited<ReturnType<LibvirtClient['control']['domains']['define']>>> {
  const body = `<memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os>`;
  return client.control.domains.define(`<domain type='test'><name>${name}</name>${body}</domain>`, 0);
}

function errorOf(other: LibvirtClient): Error | undefined {
  const state = other.state();
  return state.kind === 'connecting' ? state.error : undefined;
}
