import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  isLibvirtError,
  isNoAnswer,
  libvirtNumbers,
  LibvirtUnavailableError,
  makeLibvirtClient,
  type Domain,
  type DomainEvent,
  type LibvirtClient,
} from '../../../src/libvirt/libvirt.ts';
import { startLibvirtd, type PrivateLibvirtd } from '../../lib/libvirtd.ts';
import { virsh } from '../../lib/virsh.ts';
import { waitFor } from '../../lib/wait.ts';

/**
 * A boot sector that sends back what it gets on the first serial port (0x3f8; bit 0 of 0x3fd: a byte has come):
 * cli; again: mov dx,0x3fd; wait: in al,dx; test al,1; jz wait; mov dx,0x3f8; in al,dx; out dx,al; jmp again
 */
const echo = Buffer.from('fabafd03eca80174fbbaf803eceeebf1', 'hex');

const dir = mkdtempSync(join(tmpdir(), 'vmlet-test-'));
const disk = join(dir, 'disk.img');
const uuid = '5b1f7a52-3f2b-4e69-9d8a-0c4f6f1f2e3d';
const xml = `<domain type='qemu'><name>echo</name><uuid>${uuid}</uuid><memory unit='MiB'>16</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>
    <serial type='pty'/><memballoon model='none'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <input type='tablet' bus='usb'><alias name='ua-tablet'/></input>
  </devices></domain>`;

let libvirtd: PrivateLibvirtd;
let client: LibvirtClient;
let domain: Domain;
const events: DomainEvent[] = [];

beforeAll(async () => {
  chmodSync(dir, 0o711);
  const image = Buffer.alloc(1024 * 1024);
  echo.copy(image);
  image.writeUInt16LE(0xaa55, 510);
  writeFileSync(disk, image);
  libvirtd = await startLibvirtd();
  client = makeLibvirtClient({ socketPath: libvirtd.socketPath });
  client.on('event', (event) => events.push(event));
  await client.connected(AbortSignal.timeout(30_000));
  domain = await client.control.domains.define(xml, 0);
});
afterAll(async () => {
  await client?.close();
  await libvirtd?.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('QEMU: capabilities, paused start, console, statistics, monitor, agent, events, end', async () => {
  const { query, control } = client;
  expect(await query.host.domainCapabilities({ emulator: '/usr/bin/qemu-system-x86_64', virtType: 'qemu' }, 0)).toContain(
    '<domain>qemu</domain>',
  );

  domain = await control.domains.create(domain, libvirtNumbers.domainCreateFlag.paused);
  expect(domain).toMatchObject({ name: 'echo', uuid, id: expect.any(Number) as number });
  const { startingUp, user } = libvirtNumbers.pausedReason;
  const paused = await query.domains.state(domain, 0);
  expect(paused.state).toBe('paused');
  expect([startingUp, user]).toContain(paused.reason);
  await control.domains.resume(domain);
  expect((await query.domains.state(domain, 0)).state).toBe('running');
  await lifecycle('started', 'resumed');

  const consoleStream = await client.openConsole(domain, undefined, 0);
  let text = '';
  consoleStream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  await waitFor(() => text.includes('x') || !consoleStream.write('x'), { timeoutMs: 30_000, what: 'echo', everyMs: 100 });
  consoleStream.write('hello, guest');
  await waitFor(() => text.includes('hello, guest'), { timeoutMs: 30_000, what: 'echo' });
  consoleStream.destroy();

  const [statistics] = await query.domains.statistics([domain], 0, 0);
  expect(statistics?.domain).toEqual(domain);
  const value = (name: string): unknown => statistics?.values.get(name);
  expect(value('state.state')).toBe(1);
  expect(value('cpu.time')).toBeTypeOf('bigint');
  expect(value('block.0.capacity')).toBe(1024n * 1024n);
  expect(value('vcpu.0.state')).toBe(1);
  expect((await query.domains.info(domain)).cpuTimeNs).toBeGreaterThan(0n);

  const status = await control.qemu.monitorCommand(domain, '{"execute":"query-status"}', libvirtNumbers.monitorFlag.qmp);
  expect(JSON.parse(status)).toMatchObject({ return: { status: 'running' } });
  const noAgent = await control.qemu.agentCommand(domain, '{"execute":"guest-ping"}', 1, 0).catch((error: unknown) => error);
  expect(isLibvirtError(noAgent, libvirtNumbers.libvirtErrorCode.agentUnresponsive)).toBe(true);

  await control.domains.reset(domain, 0);
  await kind('reboot');
  await virsh(libvirtd.virshUri('qemu'), 'detach-device-alias', 'echo', 'ua-tablet', '--live');
  expect(await kind('deviceRemoved')).toMatchObject({ device: 'ua-tablet' });
});

test('libvirtd killed: calls fail with a type, the VM lives, events come again after the reconnect', async () => {
  const told: string[] = [];
  client.on('disconnected', (error) => told.push(error.name));
  client.on('connected', ({ again }) => told.push(`again: ${String(again)}`));
  const pending = client.control.qemu
    .agentCommand(domain, '{"execute":"guest-sync","arguments":{"id":1}}', 30, 0)
    .catch((error: unknown) => error);
  await libvirtd.kill9();
  expect(await pending).toSatisfy((error) => isNoAnswer(error) || isLibvirtError(error));
  await waitFor(() => told.length > 0, { timeoutMs: 20_000, what: 'disconnected' });
  const refused = await client.query.host.version().catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(LibvirtUnavailableError);
  await libvirtd.restart();
  await client.connected(AbortSignal.timeout(30_000));
  expect(told).toEqual(['LibvirtUnavailableError', 'again: true']);
  await waitFor(async () => (await client.query.domains.state(domain, 0)).state === 'running', { timeoutMs: 30_000, what: 'running VM' });

  events.length = 0;
  await virsh(libvirtd.virshUri('qemu'), 'save', 'echo', join(dir, 'saved'));
  expect(await kind('jobCompleted')).toMatchObject({ statistics: expect.any(Map) as unknown });
  await lifecycle('stopped');
  expect(await client.query.domains.state(domain, 0)).toEqual({ state: 'shutoff', reason: libvirtNumbers.shutoffReason.saved });

  events.length = 0;
  await client.control.domains.create(domain, 0);
  await client.control.domains.destroy(domain, 0);
  expect(await lifecycle('started', 'stopped')).toMatchObject({ detail: libvirtNumbers.stoppedDetail.destroyed });
  await client.control.domains.undefine(domain, 0);
  expect(await client.query.domains.list(0)).toEqual([]);
});

/** Waits for lifecycle events, in this order among others; answers the last. */
async function lifecycle(...names: readonly string[]): Promise<DomainEvent | undefined> {
  const seen = (): readonly DomainEvent[] => events.filter((event) => event.kind === 'lifecycle' && names.includes(event.event));
  const told = (): readonly string[] => seen().map((event) => (event.kind === 'lifecycle' ? event.event : ''));
  await waitFor(() => told().join() === names.join(), { timeoutMs: 30_000, what: `events ${names.join()}` });
  return seen().at(-1);
}

async function kind(wanted: DomainEvent['kind']): Promise<DomainEvent> {
  return waitFor(() => events.find((event) => event.kind === wanted), { timeoutMs: 30_000, what: `event ${wanted}` });
}
