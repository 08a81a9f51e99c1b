import { isAbsolute, join, normalize, sep } from 'node:path';
import { invalid } from '../model/errors.ts';

/** Where a VM's files lie. */
export interface VmPaths {
  /** 0711 root, since QEMU opens disks by path; holds disk and seed, 0600 of the VM's uid, and the console log, which libvirtd makes (0600 root). */
  readonly dir: string;
  readonly rootDisk: string;
  readonly seed: string;
  readonly consoleLog: string;
  /** How far the console log has been read. */
  readonly logPosition: string;
  /** Does not survive a reboot; writable by root alone. */
  readonly socketDir: string;
  readonly consoleSocket: string;
  /** Where the guest reports how it ends. */
  readonly reportSocket: string;
}

/** The paths of a container's VM. Twelve digits of the id keep sockets within Linux's 107 bytes. */
export function vmPaths(stateDir: string, runtimeDir: string, containerId: string): VmPaths {
  const short = containerId.slice(0, 12);
  const dir = join(stateDir, 'vms', short);
  const socketDir = join(runtimeDir, 'vms', short);
  return {
    dir,
    rootDisk: join(dir, 'root.qcow2'),
    seed: join(dir, 'seed.iso'),
    consoleLog: join(dir, 'console.log'),
    logPosition: join(dir, 'console.position'),
    socketDir,
    consoleSocket: join(socketDir, 'console.sock'),
    reportSocket: join(socketDir, 'report.sock'),
  };
}

/**
 * The absolute path of a container's CRI log, or `undefined` when it has none. Throws INVALID when it does not stay below the
 * sandbox's log directory.
 */
export function criLogPath(logDirectory: string, logPath: string): string | undefined {
  if (logDirectory === '' || logPath === '') return undefined;
  if (!isAbsolute(logDirectory)) throw invalid('log_directory', 'must be an absolute path');
  const root = normalize(logDirectory).replace(/\/+$/, '') + sep;
  const path = join(root, logPath);
  if (!path.startsWith(root) || path === root || isAbsolute(logPath)) throw invalid('log_path', 'must stay below log_directory');
  return path;
}
