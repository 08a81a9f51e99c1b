import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, messageOf } from '../lib/errno.ts';
import { identify, isAlive, startHelper, type HelperIdentity } from '../lib/helper-process.ts';
import type { Log } from '../lib/log.ts';
import { programPath } from '../lib/run-program.ts';
import {
  boundDirectories,
  libvirtdConf,
  libvirtdConfFile,
  libvirtdPidFile,
  libvirtdProgram,
  qemuConf,
  type LibvirtdPlaces,
} from './libvirtd-files.ts';

/** vmlet's own libvirtd: a process that outlives the daemon. */
export interface OwnLibvirtd {
  /** Its socket. */
  readonly socketPath: string;
  /** Its `/run/libvirt` and `/var/log/libvirt` as others see them. */
  readonly runDir: string;
  readonly logDir: string;
  /** Its `/var/lib/libvirt`, as `logDir`. */
  readonly libDir: string;
  /** Adopts the one that runs, or starts one; from then on starts it again when it has died. Throws when it cannot be executed. */
  readonly keepRunning: () => Promise<void>;
  /** Leaves it to itself. */
  readonly release: () => void;
}

const checkEveryMs = 500;
const longestPauseMs = 30_000;

/** Nothing runs yet; `onStarted` is told of each start. The directories are 0711 of root: QEMU, under an uid of its own, has sockets below them. */
export function makeOwnLibvirtd(places: LibvirtdPlaces, deps: { readonly log: Log; readonly onStarted: () => void }): OwnLibvirtd {
  const { log } = deps;
  let process: HelperIdentity | undefined;
  let timer: NodeJS.Timeout | undefined;
  let failures = 0;
  let notBefore = 0;

  async function ensure(): Promise<void> {
    if (process && isAlive(process)) {
      failures = 0;
      return;
    }
    const running = await findLibvirtd(places);
    if (running) {
      process = running;
      log.info({ pid: running.pid }, 'libvirtd adopted');
      return;
    }
    if (performance.now() < notBefore) return;
    notBefore = performance.now() + Math.min(longestPauseMs, checkEveryMs * 2 ** failures);
    failures += 1;
    process = await launch(places);
    deps.onStarted();
    log.info({ pid: process.pid, starts: failures }, 'libvirtd started');
  }

  function check(): void {
    timer = setTimeout(() => {
      ensure()
        .catch((error: unknown) => log.error({ error: messageOf(error) }, 'libvirtd cannot be started'))
        .finally(() => {
          if (timer) check();
        });
    }, checkEveryMs).unref();
  }

  return {
    socketPath: join(places.runDir, 'libvirt-sock'),
    runDir: places.runDir,
    logDir: join(places.stateDir, 'log'),
    libDir: join(places.stateDir, 'lib'),
    keepRunning: async () => {
      await ensure();
      check();
    },
    release: () => {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}

/** The libvirtd of these places, by its pid file and command line; `undefined` when none runs. */
async function findLibvirtd(places: LibvirtdPlaces): Promise<HelperIdentity | undefined> {
  const pid = Number((await textOf(libvirtdPidFile(places))).trim());
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  const args = (await textOf(`/proc/${pid}/cmdline`)).split('\0');
  return args.includes(libvirtdConfFile(places)) ? identify(pid) : undefined;
}

async function launch(places: LibvirtdPlaces): Promise<HelperIdentity> {
  const kvmDir = join(places.stateDir, 'dev');
  const bound = boundDirectories(places);
  for (const dir of [places.stateDir, ...bound.map(([, own]) => own), kvmDir]) await mkdir(dir, { recursive: true, mode: 0o711 });
  await writeFile(libvirtdConfFile(places), libvirtdConf);
  await writeFile(join(places.stateDir, 'etc', 'qemu.conf'), qemuConf);
  const args = [libvirtdConfFile(places), libvirtdPidFile(places), ...bound.flat()];
  return startHelper('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', libvirtdProgram, 'libvirtd', ...args], {
    logFile: join(places.stateDir, 'log', 'libvirtd.log'),
    env: { PATH: programPath, LC_ALL: 'C', KVM_DIR: kvmDir },
  });
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
