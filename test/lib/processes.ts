import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** True while a process of this machine has this command line: it may run in a process namespace, where it has another id. */
export function isRunning(...command: readonly string[]): boolean {
  const wanted = `${command.join('\0')}\0`;
  return processes().some((pid) => read(() => readFileSync(`/proc/${pid}/cmdline`, 'latin1')) === wanted);
}

/** Sends a signal to a process; throws for what is no id of one, as 0 is the caller's whole group. */
export function signalProcess(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined || !(pid > 1)) throw new Error(`there is no process to send ${signal} to`);
  process.kill(pid, signal);
}

/** Ids of the processes that this one started, directly or not, and that run the program. */
export function descendantsRunning(program: string): readonly number[] {
  const parents = new Map(processes().map((pid) => [pid, parentOf(pid)]));
  const isOurs = (pid: number | undefined): boolean => pid !== undefined && pid > 1 && (pid === process.pid || isOurs(parents.get(pid)));
  return [...parents.keys()].filter((pid) => isOurs(pid) && read(() => readlinkSync(`/proc/${pid}/exe`)).endsWith(`/${program}`));
}

function processes(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

function parentOf(pid: number): number | undefined {
  const found = /^PPid:\t(\d+)$/m.exec(read(() => readFileSync(`/proc/${pid}/status`, 'latin1')))?.[1];
  return found === undefined ? undefined : Number(found);
}

/** `''` for a process that has ended since. */
function read(what: () => string): string {
  try {
    return what();
  } catch {
    return '';
  }
}
