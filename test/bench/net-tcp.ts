import { readdirSync, readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ensureTinyImage } from '../../images/tiny/image.ts';
import { makeCgroups } from '../../src/cgroup/cgroup.ts';
import { tryProgram } from '../../src/lib/run-program.ts';
import { abandonOnAbort } from '../../src/lib/signals.ts';
import { domainNameOf } from '../../src/model/container.ts';
import { vmPod } from '../e2e/guests.ts';
import { runPod } from '../kubelet/kubelet.ts';
import { cpuTime } from '../lib/cpu-time.ts';
import { waitFor } from '../lib/wait.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { makeByHand, virsh } from './by-hand.ts';
import { ratioFigure, throughputFigure, type Figure } from './figure.ts';
import { interleaved } from './vm-starts.ts';

/** vCPUs, and queues of the interface. */
const cpus = 2;
const image = 'bench.example/tiny:1';
const rounds = { warmUps: 2, rounds: 20 };
const transferSeconds = 2;
const bootMs = 240_000;
/** Until a guest that has booted does nothing any more. */
const settleMs = 3_000;
const discardPort = 5_001;

/**
 * TCP between a guest and the node's end of its pod network, both ways: through what vmlet has built in the pod's namespace, against the same
 * VM (disk, XML, vCPUs, queues, cgroup and CPU quota) whose tap is bridged with the CNI's interface by hand, without any filter. One guest
 * is idle while the other is measured. The guests are emulated (TCG): what is compared is the way of the packets, at the speed that this leaves. Throughput
 * is as uneven as the machine's load; the CPU time that QEMU needs for a MiB, the kernel's for its packets included, is less so.
 */
export async function netTcp(signal: AbortSignal): Promise<readonly Figure[]> {
  const file = await ensureTinyImage((line) => process.stderr.write(`bench: ${line}\n`), signal);
  await using node = await startNode({ images: [{ name: image, file }], signal });
  const running = await runPod(node.kubelet, vmPod({ image, memory: '480Mi', cpu: String(cpus) }), { signal });
  const vmlet = { name: domainNameOf(running.containers[0]?.id ?? ''), ip: running.ips[0] ?? '' };
  const xml = await virsh(node, signal, 'dumpxml', '--inactive', vmlet.name);
  await using hand = await (await makeByHand(node, { xml, base: file, baseFormat: 'qcow2' })).start(0, signal);
  await limitAsVmlet(node, hand);
  await Promise.all([vmlet, hand].map(async (guest) => prepare(node, guest, signal)));
  await delay(settleMs, undefined, { signal });
  const figures: Figure[] = [];
  for (const { way, curl } of directions) {
    const { one, other } = await interleaved(
      rounds,
      async () => transfer(node, vmlet, curl, signal),
      async () => transfer(node, hand, curl, signal),
    );
    const load = loadavg()[0] ?? 0;
    const bench = 'net-tcp';
    figures.push(
      throughputFigure({ bench, metric: `throughput ${way}, TCG / by hand`, floor: 0.95, load }, one.map(speedOf), other.map(speedOf)),
      ratioFigure({ bench, metric: `CPU of QEMU a MiB ${way}, TCG / by hand`, load }, one.map(costOf), other.map(costOf)),
    );
  }
  return figures;
}

interface Guest {
  /** The domain's name. */
  readonly name: string;
  readonly ip: string;
}

const directions: readonly { readonly way: string; readonly curl: (guest: Guest) => readonly string[] }[] = [
  { way: 'guest to node', curl: ({ ip }) => ['--output', '/dev/null', `http://${ip}/zeros`] },
  { way: 'node to guest', curl: ({ ip }) => ['--upload-file', '/dev/zero', '--header', 'Expect:', `http://${ip}:${discardPort}/`] },
];

/**
 * Gives the guest's QEMU a leaf as vmlet's VM has one: what its place in a tree of cgroups and its quota cost is not the network's. The node
 * removes it with all of its cgroups.
 */
async function limitAsVmlet(node: TestNode, { name }: Guest): Promise<void> {
  const cgroups = await makeCgroups({ driver: 'cgroupfs' });
  const pid = qemuPid(node, name);
  const tasks = readdirSync(`/proc/${pid}/task`).map(Number);
  const vcpuTids = tasks.filter((tid) => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8').startsWith('CPU '));
  const parent = `/${basename(node.dir)}/leaf-of-${name}`;
  await cgroups.makeLeaf(parent, name, { cpuPeriodUs: 100_000, cpuQuotaUs: cpus * 100_000 });
  await cgroups.addMembers(parent, name, { pids: [pid], vcpuTids });
}

function qemuPid(node: TestNode, domain: string): number {
  return Number(readFileSync(join(node.runtimeDir, 'libvirt', 'qemu', `${domain}.pid`), 'utf8'));
}

/** Has the guest serve a file of zeros that takes no space, and throw away what it is sent. Its agent is asked, as soon as it answers. */
async function prepare(node: TestNode, { name }: Guest, signal: AbortSignal): Promise<void> {
  const script = [
    'truncate -s 64G /tmp/zeros',
    'ln -s /tmp/zeros /var/www/zeros',
    `while :; do nc -l -p ${discardPort} </dev/null >/dev/null; done`,
  ];
  const execute = { execute: 'guest-exec', arguments: { path: '/bin/sh', arg: ['-c', script.join('\n')] } };
  const answered = async (): Promise<string> => virsh(node, signal, 'qemu-agent-command', name, JSON.stringify(execute));
  await abandonOnAbort(waitFor(answered, { timeoutMs: bootMs, what: `guest agent of ${name}`, everyMs: 500 }), signal);
}

/** What went through until the transfer was cut off. */
interface Transfer {
  readonly mebibytes: number;
  /** From its first byte. */
  readonly seconds: number;
  /** Of the guest's QEMU. */
  readonly cpuMs: number;
}

const speedOf = ({ mebibytes, seconds }: Transfer): number => mebibytes / seconds;
const costOf = ({ mebibytes, cpuMs }: Transfer): number => cpuMs / mebibytes;

/** Transfers for a while. What does not begin (the guest does not listen again yet) is tried again. */
async function transfer(node: TestNode, guest: Guest, curlOf: (guest: Guest) => readonly string[], signal: AbortSignal): Promise<Transfer> {
  const pid = qemuPid(node, guest.name);
  const numbers = ['%{size_download}', '%{size_upload}', '%{time_pretransfer}', '%{time_starttransfer}', '%{time_total}'];
  const curl = ['curl', '--silent', '--max-time', String(transferSeconds), '--write-out', numbers.join(' '), ...curlOf(guest)];
  const attempt = async (): Promise<Transfer | undefined> => {
    const before = cpuTime(pid).own;
    const { stdout } = await tryProgram('nsenter', [`--net=${node.network.netnsPath}`, ...curl], { signal });
    const [down = 0, up = 0, ready = 0, first = 0, end = 0] = stdout.split(' ').map(Number);
    const mebibytes = (down + up) / 2 ** 20;
    return mebibytes > 0 ? { mebibytes, seconds: end - Math.max(ready, first), cpuMs: cpuTime(pid).own - before } : undefined;
  };
  return abandonOnAbort(waitFor(attempt, { timeoutMs: 30_000, what: `transfer with ${guest.name}`, everyMs: 200 }), signal);
}
