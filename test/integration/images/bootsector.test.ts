import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { bootMarker, makeBootDisk } from '../../../images/bootsector/sectors.ts';
import type { BootSectorKind } from '../../../images/bootsector/sectors.ts';
import { runProgram } from '../../../src/lib/run-program.ts';
import { startQemu } from '../../lib/qemu.ts';
import type { Qemu } from '../../lib/qemu.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

const deadlineMs = 30_000;

async function boot(kind: BootSectorKind, ...args: readonly string[]): Promise<Qemu> {
  const file = join(tempDir(), `${kind}.raw`);
  writeFileSync(file, makeBootDisk(kind));
  return startQemu(['-m', '16', '-drive', `file=${file},if=virtio,format=raw`, ...args]);
}

function numbersOf(kind: BootSectorKind, console: string): readonly number[] {
  return [...console.matchAll(new RegExp(`${bootMarker(kind)} (\\d+)\r\n`, 'g'))].map((match) => Number(match[1]));
}

it.each(['off', 'long'] as const)('%s shows its marker and powers off', async (kind) => {
  const qemu = await boot(kind);
  expect(await qemu.ended(deadlineMs)).toBe(0);
  expect(qemu.console()).toContain(`${bootMarker(kind)}\r\n`);
});

it('long does not show its marker on a CPU without long mode', async () => {
  const qemu = await boot('long', '-cpu', 'qemu32', '-no-reboot');
  expect(await qemu.ended(deadlineMs)).toBe(0);
  expect(qemu.console()).not.toContain(bootMarker('long'));
});

it('halt shows its marker, then uses no CPU and ignores the power button', async () => {
  const qemu = await boot('halt');
  await qemu.waitForText(`${bootMarker('halt')}\r\n`, deadlineMs);
  const qmp = await qemu.qmp();
  const before = qemu.cpuMs();
  expect(await qmp.ask({ execute: 'system_powerdown' }, deadlineMs)).toEqual({ return: {} });
  await expect(qemu.ended(2_000)).rejects.toThrow('no end of QEMU');
  expect(qemu.cpuMs() - before).toBeLessThan(500);
});

it('acpi powers off when the power button is pressed', async () => {
  const qemu = await boot('acpi');
  await qemu.waitForText(`${bootMarker('acpi')}\r\n`, deadlineMs);
  const qmp = await qemu.qmp();
  // A button pressed before the guest enabled it is lost, as on real machines: it is pressed again until the guest has seen it.
  const status = await waitFor(
    async () => {
      qmp.send({ execute: 'system_powerdown' });
      return { status: await qemu.ended(200) };
    },
    { timeoutMs: deadlineMs, what: 'reaction to the power button' },
  );
  expect(status).toEqual({ status: 0 });
});

it('panic reports a panic by pvpanic', async () => {
  const qemu = await boot('panic', '-device', 'pvpanic', '-action', 'panic=pause');
  await qemu.waitForText(`${bootMarker('panic')}\r\n`, deadlineMs);
  const qmp = await qemu.qmp();
  const state = await waitFor(
    async () => {
      const answer = await qmp.ask({ execute: 'query-status' }, deadlineMs);
      return JSON.stringify(answer['return']).includes('"guest-panicked"');
    },
    { timeoutMs: deadlineMs, what: 'state guest-panicked' },
  );
  expect(state).toBe(true);
});

it('tick counts up about once a second', async () => {
  const qemu = await boot('tick');
  await qemu.waitForText(`${bootMarker('tick')} 1\r\n`, deadlineMs);
  const start = performance.now();
  await qemu.waitForText(`${bootMarker('tick')} 3\r\n`, deadlineMs);
  expect(performance.now() - start).toBeGreaterThan(1_500);
  expect(numbersOf('tick', qemu.console()).slice(0, 3)).toEqual([1, 2, 3]);
});

it('spam floods the console with numbered lines, none lost', async () => {
  const qemu = await boot('spam');
  await waitFor(() => qemu.console().length > 200_000, { timeoutMs: deadlineMs, what: '200 kB of output' });
  const numbers = numbersOf('spam', qemu.console());
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

it('the command line writes qcow2 and refuses an unknown guest', async () => {
  const file = join(tempDir(), 'off.qcow2');
  const signal = AbortSignal.timeout(deadlineMs);
  await runProgram(process.execPath, ['images/bootsector/write.ts', 'off', file], { signal });
  const { stdout } = await runProgram('qemu-img', ['info', '--output=json', file], { signal });
  expect(JSON.parse(stdout)).toMatchObject({ format: 'qcow2', 'virtual-size': 2 ** 20 });
  await expect(runProgram(process.execPath, ['images/bootsector/write.ts', 'nothing', file], { signal })).rejects.toThrow('usage: ');
});
