import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensureTinyImage } from '../../../images/tiny/image.ts';
import { makeGuest } from '../../../src/guest/guest.ts';
import { runProgram } from '../../../src/lib/run-program.ts';
import { startQemu, type JsonLines } from '../../lib/qemu.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

/** Emulated on a busy machine the guest takes up to half a minute; the same again twice is generous. */
const bootMs = 100_000;

describe('the tiny guest', { timeout: 240_000 }, () => {
  let image: string;
  beforeAll(async () => {
    image = await ensureTinyImage(() => undefined, AbortSignal.timeout(600_000));
  }, 600_000);

  it('is a sound qcow2 of less than 25 MB, and is not built twice', async () => {
    const { mtimeMs, size } = statSync(image);
    expect(size).toBeLessThan(25_000_000);
    const signal = AbortSignal.timeout(30_000);
    const { stdout } = await runProgram('qemu-img', ['check', '-f', 'qcow2', '--output=json', image], { signal });
    expect(JSON.parse(stdout)).toMatchObject({ format: 'qcow2', 'check-errors': 0 });

    const lines: string[] = [];
    expect(await ensureTinyImage((line) => lines.push(line), signal)).toBe(image);
    expect(lines).toEqual([`tiny: ${image} is up to date`]);
    expect(statSync(image).mtimeMs).toBe(mtimeMs);
  });

  it('takes its name from the seed, announces its lease, answers on port 80 and powers off at the button', async () => {
    const dir = tempDir();
    mkdirSync(join(dir, 'seed'));
    const seed = join(dir, 'seed', 'seed.iso');
    const guest = makeGuest();
    const instanceId = 'c'.repeat(64);
    await guest.makeSeed(
      { path: seed, instanceId, hostname: 'web-0', interfaces: [], dns: { servers: [], searches: [], options: [] }, uid: 0, gid: 0 },
      AbortSignal.timeout(30_000),
    );
    const overlay = join(dir, 'root.qcow2');
    const signal = AbortSignal.timeout(30_000);
    await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image, overlay], { signal });
    const disks = ['-drive', `file=${overlay},if=virtio,format=qcow2`, '-drive', `file=${seed},if=virtio,format=raw,readonly=on`];
    const nic = ['-netdev', 'user,id=net,hostfwd=tcp:127.0.0.1:0-:80', '-device', 'virtio-net-pci,netdev=net'];
    const qemu = await startQemu(['-m', '128', ...disks, ...nic]);

    await qemu.waitForText('web-0 login:', bootMs);
    const console = qemu.console();
    expect(console).toMatch(/^tiny: lease eth0 10\.0\.2\.15\/24\r$/m);
    expect(console).toMatch(/^tiny: boot finished\r$/m);

    const qmp = await qemu.qmp();
    const origin = `http://127.0.0.1:${await forwardedPort(qmp)}`;
    expect((await textOf(`${origin}/`)).trim()).toBe('web-0');
    const info = await textOf(`${origin}/cgi-bin/info`);
    expect(info).toContain('hostname web-0\n');
    expect(info).toContain(`instance-id ${instanceId}\n`);
    expect(info).toContain('address eth0 10.0.2.15/24\n');
    expect(info).toContain('boots 1\n');

    await qmp.ask({ execute: 'system_powerdown' }, 10_000);
    expect(await qemu.ended(30_000)).toBe(0);
    expect(qemu.console()).toContain('tiny: poweroff');
  });
});

/** The port on loopback that QEMU has chosen for the guest's port 80. */
async function forwardedPort(qmp: JsonLines): Promise<number> {
  const answer = await qmp.ask({ execute: 'human-monitor-command', arguments: { 'command-line': 'info usernet' } }, 10_000);
  const port = /TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s/.exec(String(answer['return']))?.[1];
  if (port === undefined) throw new Error(`no forwarded port in ${JSON.stringify(answer)}`);
  return Number(port);
}

/** QEMU's user network now and then drops a first connection: it is tried again. */
async function textOf(url: string): Promise<string> {
  return waitFor(
    async () => {
      const response = await fetch(url, { signal: AbortSignal.timeout(3_000) });
      expect(response.status).toBe(200);
      return response.text();
    },
    { timeoutMs: 30_000, what: `answer from ${url}` },
  );
}
