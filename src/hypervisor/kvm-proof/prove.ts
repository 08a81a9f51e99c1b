import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../../lib/durable-file.ts';
import { messageOf } from '../../lib/errno.ts';
import { tryProgram } from '../../lib/run-program.ts';
import { longModeMarker, longModeProof } from './long-mode.ts';

/** Whether KVM runs guests here; `reason` tells why not, and is empty if it does. */
export interface KvmVerdict {
  readonly works: boolean;
  readonly reason: string;
}

/** What a verdict holds for: it is found anew after a reboot, and with another kernel or QEMU. */
export interface ProofSubject {
  /** QEMU's program. */
  readonly emulator: string;
  /** libvirt's number for QEMU's version. */
  readonly qemuVersion: number;
  readonly bootId: string;
}

const deadlineMs = 5_000;

const keptSchema = z.strictObject({
  bootId: z.string(),
  kernel: z.string(),
  qemuVersion: z.number(),
  works: z.boolean(),
  reason: z.string(),
});

/**
 * Proves KVM by a boot sector that does what a kernel needs, with the CPU that VMs get; nested and paravirtual hosts have a /dev/kvm that
 * cannot. The verdict is kept in `dir`/kvm.json.
 */
export async function proveKvm(subject: ProofSubject, dir: string, signal: AbortSignal): Promise<KvmVerdict> {
  const file = join(dir, 'kvm.json');
  const facts = { bootId: subject.bootId, kernel: release(), qemuVersion: subject.qemuVersion };
  const kept = await readKept(file);
  if (kept && kept.bootId === facts.bootId && kept.kernel === facts.kernel && kept.qemuVersion === facts.qemuVersion) return kept;
  const verdict = await judge(subject.emulator, dir, signal);
  await writeDurably(file, JSON.stringify({ ...facts, ...verdict }));
  return verdict;
}

async function judge(emulator: string, dir: string, signal: AbortSignal): Promise<KvmVerdict> {
  try {
    await access('/dev/kvm');
  } catch {
    return { works: false, reason: 'there is no /dev/kvm' };
  }
  const work = await mkdtemp(join(dir, 'kvm-proof-'));
  try {
    const disk = join(work, 'disk.raw');
    await writeFile(disk, longModeProof(), { mode: 0o600 });
    return await boot(emulator, disk, signal);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function boot(emulator: string, disk: string, signal: AbortSignal): Promise<KvmVerdict> {
  const machine = ['-nodefaults', '-no-user-config', '-machine', 'q35,accel=kvm', '-cpu', 'host,migratable=on', '-m', '64'];
  const devices = ['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-drive', `file=${disk},format=raw,if=virtio`];
  try {
    const run = await tryProgram(emulator, [...machine, ...devices, '-no-reboot'], { signal, timeoutMs: deadlineMs });
    if (run.stdout.includes(longModeMarker)) return { works: true, reason: '' };
    const said = run.stderr.trim().split('\n').at(-1) ?? '';
    return { works: false, reason: `QEMU with KVM ended early (${run.signal ?? `exit status ${run.exitCode}`}): ${said}`.slice(0, 300) };
  } catch (error) {
    signal.throwIfAborted();
    return {
      works: false,
      reason: `a boot sector did not run to its end with KVM within ${deadlineMs / 1_000} s: ${messageOf(error)}`.slice(0, 300),
    };
  }
}

async function readKept(file: string): Promise<z.output<typeof keptSchema> | undefined> {
  try {
    return keptSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return undefined; // never proved, or written by another version: prove again
  }
}
