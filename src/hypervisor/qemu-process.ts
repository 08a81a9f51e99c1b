import { open, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../lib/errno.ts';

/** Most bytes of QEMU's log that are quoted. */
const logTailBytes = 2_048;

/** QEMU's pid by libvirt's pid file, if that process is this VM's QEMU: its command line names the guest (`-name guest=NAME,...`). */
export async function qemuPid(runDir: string, name: string): Promise<number | undefined> {
  const text = await textOf(join(runDir, 'qemu', `${name}.pid`));
  if (!/^[1-9][0-9]{0,9}\n?$/.test(text)) return undefined;
  const pid = Number(text);
  return isGuestOf(await textOf(`/proc/${pid}/cmdline`), name) ? pid : undefined;
}

/** True for the command line (NUL-separated, as in /proc) of the QEMU that runs this guest. */
export function isGuestOf(cmdline: string, name: string): boolean {
  const args = cmdline.split('\0');
  return args.some((arg, index) => args[index - 1] === '-name' && (arg === `guest=${name}` || arg.startsWith(`guest=${name},`)));
}

/** The threads of a QEMU that are virtual CPUs, in the CPUs' order; libvirt has QEMU name its threads (`debug-threads=on`). */
export async function vcpuThreads(pid: number): Promise<readonly number[]> {
  const tids = await readdir(`/proc/${pid}/task`);
  const threads = await Promise.all(tids.map(async (tid) => ({ tid: Number(tid), comm: await textOf(`/proc/${pid}/task/${tid}/comm`) })));
  return threads
    .flatMap(({ tid, comm }) => {
      const cpu = vcpuOf(comm);
      return cpu === undefined ? [] : [{ tid, cpu }];
    })
    .toSorted((a, b) => a.cpu - b.cpu)
    .map(({ tid }) => tid);
}

/** The number of the virtual CPU that a thread of this name runs, or `undefined`. */
export function vcpuOf(comm: string): number | undefined {
  const [, cpu] = /^CPU ([0-9]+)\/(?:TCG|KVM)\n?$/.exec(comm) ?? [];
  return cpu === undefined ? undefined : Number(cpu);
}

/** The last lines of a VM's QEMU log, at most 2 KiB, without libvirt's listing of QEMU's arguments; empty when there is none. */
export async function qemuLogTail(logDir: string, name: string): Promise<string> {
  try {
    await using file = await open(join(logDir, 'qemu', `${name}.log`), 'r');
    const { size } = await file.stat();
    const start = Math.max(0, size - 2 * logTailBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2 * logTailBytes), 0, 2 * logTailBytes, start);
    return tellingLines(buffer.subarray(0, bytesRead).toString('utf8'), start > 0);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return '';
    throw error;
  }
}

/** Removes a VM's QEMU log: every attempt has one, and nobody else does. */
export async function removeQemuLog(logDir: string, name: string): Promise<void> {
  await rm(join(logDir, 'qemu', `${name}.log`), { force: true });
}

/**
 * Removes what a libvirt that ended before its domain leaves: directories `domain-NUMBER-NAME` in `/var/lib/libvirt`, and in `/run/libvirt`
 * the pid file of a QEMU that it had not yet started. The domain must be off.
 */
export async function removeRemains({ libDir, runDir }: { readonly libDir: string; readonly runDir: string }, name: string): Promise<void> {
  for (const dir of [join(libDir, 'qemu'), join(libDir, 'qemu', 'channel', 'target')]) {
    const names = await readdir(dir).catch(() => []);
    const remains = names.filter((each) => /^domain-[0-9]+-/.test(each) && each.replace(/^domain-[0-9]+-/, '') === name);
    for (const each of remains) await rm(join(dir, each), { recursive: true, force: true });
  }
  if ((await qemuPid(runDir, name)) === undefined) await rm(join(runDir, 'qemu', `${name}.pid`), { force: true });
}

/** The lines that tell something: the command line's (`-device ... \`) and its environment are left out, and a cut first line. */
export function tellingLines(text: string, firstIsCut: boolean): string {
  const lines = text.split('\n').slice(firstIsCut ? 1 : 0);
  const telling = lines.filter((line, index) => line.trim() !== '' && !line.endsWith('\\') && !(lines[index - 1] ?? '').endsWith('\\'));
  return telling.join('\n').slice(-logTailBytes);
}

/** A file's text; empty when it is not there, or its process has gone. */
async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return '';
    throw error;
  }
}
