import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isErrno } from '../../lib/errno.ts';
import { identify, isAlive, startHelper, stopHelper, type HelperIdentity } from '../../lib/helper-process.ts';
import { withTimeout } from '../../lib/signals.ts';
import { dhcpMark, dnsmasqArguments, type DhcpPlace, type DhcpSubject } from './arguments.ts';

/** DHCP servers of pods: one dnsmasq in each pod's netns, which outlives the daemon. */
export interface Dhcp {
  /** Starts a server and answers when it listens. `started` is told its identity, to be recorded while it starts. On error it is ended. */
  readonly start: (request: DhcpRequest, started: (helper: HelperIdentity) => Promise<void>, signal: AbortSignal) => Promise<void>;
  /**
   * The living server of a sandbox: the recorded one, the one that its pid file names, or where a start was cut short before either,
   * the one that a look at all processes finds; proved by its command line.
   */
  readonly find: (sandboxId: string, recorded: HelperIdentity | undefined) => Promise<HelperIdentity | undefined>;
  /** Ends a sandbox's server and removes its files; none is fine. */
  readonly stop: (sandboxId: string, recorded: HelperIdentity | undefined) => Promise<void>;
}

/** What a server is started with. */
export interface DhcpRequest extends DhcpSubject {
  readonly sandboxId: string;
  readonly netnsPath: string;
}

interface Files extends DhcpPlace {
  readonly logFile: string;
}

const readyTimeoutMs = 10_000;

/**
 * It reads what guests send: it gets no privilege that it has not, and of root's the few that it needs to become its own user and to
 * answer on a raw socket.
 */
const confinement = [
  'setpriv',
  '--no-new-privs',
  '--inh-caps=-all',
  '--bounding-set=-all,+net_admin,+net_raw,+net_bind_service,+setuid,+setgid,+chown',
];

/** Makes the DHCP servers' keeper; their files are in `dir`, of root alone. */
export async function makeDhcp(dir: string): Promise<Dhcp> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const user = await serverUser();

  const filesOf = (sandboxId: string): Files => ({
    pidFile: join(dir, `${sandboxId}.pid`),
    leaseFile: join(dir, `${sandboxId}.leases`),
    logFile: join(dir, `${sandboxId}.log`),
    user,
  });

  async function start(request: DhcpRequest, started: (helper: HelperIdentity) => Promise<void>, signal: AbortSignal): Promise<void> {
    const files = filesOf(request.sandboxId);
    const args = dnsmasqArguments(request, files);
    await Promise.all([files.logFile, files.pidFile].map(async (file) => rm(file, { force: true })));
    const helper = await startHelper('nsenter', [`--net=${request.netnsPath}`, ...confinement, 'dnsmasq', ...args], {
      logFile: files.logFile,
    });
    try {
      using deadline = withTimeout(signal, readyTimeoutMs, 'the start of dnsmasq');
      await Promise.all([started(helper), untilListening(helper, files, deadline)]);
    } catch (error) {
      await stop(request.sandboxId, helper);
      throw error;
    }
  }

  async function find(sandboxId: string, recorded: HelperIdentity | undefined): Promise<HelperIdentity | undefined> {
    const { pidFile, logFile } = filesOf(sandboxId);
    const mark = dhcpMark({ pidFile });
    const isOurs = (helper: HelperIdentity | undefined): helper is HelperIdentity =>
      helper !== undefined && isAlive(helper) && commandLine(helper.pid).includes(mark);
    if (isOurs(recorded)) return recorded;
    const pid = Number.parseInt(await readFile(pidFile, 'utf8').catch(() => ''), 10);
    const named = Number.isSafeInteger(pid) && pid > 1 ? identify(pid) : undefined;
    if (isOurs(named)) return named;
    return existsSync(logFile) ? processWith(mark) : undefined; // the log is made before the process: without it there was no start
  }

  async function stop(sandboxId: string, recorded: HelperIdentity | undefined): Promise<void> {
    const helper = await find(sandboxId, recorded);
    if (helper) await stopHelper(helper);
    const { pidFile, leaseFile, logFile } = filesOf(sandboxId);
    await Promise.all([pidFile, leaseFile, logFile].map(async (file) => rm(file, { force: true })));
  }

  return { start, find, stop };
}

/** dnsmasq's own user where the distribution has one, else nobody: it gives up root after binding its socket. */
async function serverUser(): Promise<string> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return /^dnsmasq:/m.test(passwd) ? 'dnsmasq' : 'nobody';
}

/** Waits for the pid file: dnsmasq writes it when it has opened its sockets, if it has any. */
async function untilListening(helper: HelperIdentity, { pidFile, logFile }: Files, signal: AbortSignal): Promise<void> {
  while (!existsSync(pidFile)) {
    if (!isAlive(helper)) throw new Error(`dnsmasq ended at its start: ${(await readFile(logFile, 'utf8')).trim().slice(-1_000)}`);
    await delay(2, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

function processWith(argument: string): HelperIdentity | undefined {
  const pids = readdirSync('/proc').filter((name) => /^[1-9][0-9]*$/.test(name));
  const found = pids.find((pid) => commandLine(Number(pid)).includes(argument));
  return found === undefined ? undefined : identify(Number(found));
}

function commandLine(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return [];
    throw error;
  }
}
