import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from './wait.ts';

/**
 * A libvirtd of a test's own: nothing of the host's libvirt is read or written. (Where the host has no `/run/libvirt` and the like, an
 * empty directory is made there, as a mount point.) What libvirt found out about QEMU, 4-5 s of probing, is kept in `probeCache` for the
 * next one; libvirt itself checks whether it still holds.
 */
export interface PrivateLibvirtd extends AsyncDisposable {
  readonly socketPath: string;
  /** Its `/run/libvirt`: pid files of VMs are in `<runDir>/qemu`. */
  readonly runDir: string;
  /** Its `/var/log/libvirt`: QEMU's logs are in `<logDir>/qemu`. */
  readonly logDir: string;
  /** For `virsh -c`. */
  readonly virshUri: (driver: 'qemu' | 'test') => string;
  readonly pid: () => number;
  /** SIGKILL; resolves when the process is gone. VMs live on. */
  readonly kill9: () => Promise<void>;
  /** Starts it again (after `kill9`, or by SIGTERM first) on the same directories; resolves when the socket answers. */
  readonly restart: () => Promise<void>;
  /** Ends it and the VMs that it left, and removes its directories. Idempotent. */
  readonly stop: () => Promise<void>;
}

/** Settings of libvirtd.conf and qemu.conf, with values as they are written there; they win over the defaults below. */
export interface PrivateLibvirtdOptions {
  readonly libvirtdConf?: Readonly<Record<string, string>>;
  readonly qemuConf?: Readonly<Record<string, string>>;
}

const probeCache = join(import.meta.dirname, '../../node_modules/.cache/vmlet-libvirt/capabilities');

const libvirtdConf = {
  auth_unix_rw: '"none"',
  unix_sock_rw_perms: '"0700"',
  max_client_requests: '100',
  max_workers: '40',
  prio_workers: '10',
};

const qemuConf = {
  security_driver: '"none"',
  cgroup_controllers: '[ ]',
  stdio_handler: '"file"',
  namespaces: '[ ]',
  remember_owner: '0',
  dynamic_ownership: '1',
  max_core: '0',
};

/**
 * Runs in a mount namespace of its own, where libvirt's directories are the test's. QEMU's user must get at /dev/kvm, or libvirt probes QEMU
 * anew at every call, so the namespace has a device node with the group that distributions give it. Dies with the test's process.
 */
const script = `
set -e
dir=$1
for name in etc/libvirt var/lib/libvirt var/cache/libvirt var/log/libvirt run/libvirt; do
  mkdir -p "/$name"
  mount --bind "$dir/$name" "/$name"
done
if [ -e /dev/kvm ]; then
  mount -t tmpfs -o size=64k,mode=0755 tmpfs "$dir/dev"
  mknod -m 0660 "$dir/dev/kvm" c 10 232
  chgrp kvm "$dir/dev/kvm" || true
  mount --bind "$dir/dev/kvm" /dev/kvm
fi
exec setpriv --pdeathsig KILL libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/libvirtd.pid
`;

/** Starts it; resolves when the socket answers. Needs root. Use with `await using`, or call `stop` in `afterAll`. */
export async function startLibvirtd(options: PrivateLibvirtdOptions = {}): Promise<PrivateLibvirtd> {
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-libvirtd-'));
  const at = (...path: readonly string[]): string => join(dir, ...path);
  for (const name of ['etc/libvirt', 'var/lib/libvirt', 'var/cache/libvirt', 'var/log/libvirt', 'run/libvirt', 'dev']) {
    mkdirSync(at(name), { recursive: true, mode: 0o711 });
  }
  writeFileSync(at('etc/libvirt/libvirtd.conf'), conf({ ...libvirtdConf, ...options.libvirtdConf }));
  writeFileSync(at('etc/libvirt/qemu.conf'), conf({ ...qemuConf, ...options.qemuConf }));
  const socketPath = at('run/libvirt/libvirt-sock');
  const capabilities = at('var/cache/libvirt/qemu/capabilities');
  if (existsSync(probeCache)) cpSync(probeCache, capabilities, { recursive: true });
  let child: ChildProcess | undefined;

  async function launch(): Promise<void> {
    const log = openSync(at('libvirtd.log'), 'a');
    const started = spawn('/usr/bin/unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', script, 'sh', dir], {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child = started;
    await waitFor(
      async () => {
        if (started.exitCode !== null)
          throw new Error(`libvirtd ended with ${started.exitCode}: ${readFileSync(at('libvirtd.log'), 'utf8')}`);
        return answers(socketPath);
      },
      { timeoutMs: 60_000, what: 'answer on the socket of the private libvirtd' },
    );
  }

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child?.kill('SIGKILL'), 5000);
    await gone;
    clearTimeout(timer);
  }

  async function stop(): Promise<void> {
    await end('SIGTERM');
    for (const pid of vmPids(at('run/libvirt/qemu'))) await endVm(pid);
    keepProbes(capabilities);
    rmSync(dir, { recursive: true, force: true });
  }

  try {
    await launch();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    socketPath,
    runDir: at('run/libvirt'),
    logDir: at('var/log/libvirt'),
    virshUri: (driver) => (driver === 'qemu' ? `qemu+unix:///system?socket=${socketPath}` : `test+unix:///default?socket=${socketPath}`),
    pid: () => child?.pid ?? 0,
    kill9: () => end('SIGKILL'),
    async restart() {
      await end('SIGTERM');
      await launch();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function conf(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([key, value]) => `${key} = ${value}\n`)
    .join('');
}

async function answers(socketPath: string): Promise<boolean> {
  const socket = connect(socketPath);
  try {
    await once(socket, 'connect');
    return true;
  } finally {
    socket.destroy();
  }
}

/** Files appear whole, so that another test may read them at the same time; drafts lie beside the directory, which others copy whole. */
function keepProbes(capabilities: string): void {
  mkdirSync(probeCache, { recursive: true });
  for (const name of listed(capabilities).filter((file) => file.endsWith('.xml'))) {
    const draft = `${probeCache}.${process.pid}.${name}`;
    cpSync(join(capabilities, name), draft);
    renameSync(draft, join(probeCache, name));
  }
}

/** Pids in libvirt's pid files that are QEMU processes. */
function vmPids(dir: string): readonly number[] {
  return listed(dir)
    .filter((name) => name.endsWith('.pid'))
    .map((name) => Number(readFileSync(join(dir, name), 'utf8')))
    .filter(isQemu);
}

function listed(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function isQemu(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('qemu-system');
  } catch {
    return false;
  }
}

async function endVm(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await waitFor(() => !isQemu(pid), { timeoutMs: 10_000, what: `end of QEMU ${pid}` });
}
