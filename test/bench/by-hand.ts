import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmdirSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeCleanupStack, type CleanupFailure } from '../../src/lib/cleanup-stack.ts';
import { messageOf } from '../../src/lib/errno.ts';
import { runProgram, tryProgram } from '../../src/lib/run-program.ts';
import { signalProcess } from '../lib/processes.ts';
import type { TestNode } from '../node/node.ts';
import { addPod, netnsPathOf, removePod, type PodAddress } from './network-by-hand.ts';

/**
 * What a node's operator would do by hand, with the programs that vmlet uses or those that do the same, one after the other. It does no
 * more than is needed: no packet filter, no records, nothing to come back to after a crash.
 */
export interface ByHand {
  /** Starts a VM in a pod's network. Calls with different indexes do not disturb each other. */
  readonly start: (index: number, signal: AbortSignal) => Promise<VmByHand>;
}

/** A VM that runs until it is disposed; nothing is left of it then. */
export interface VmByHand extends AsyncDisposable {
  /** The domain's name. */
  readonly name: string;
  readonly ip: string;
  /** How long its start took, milliseconds. */
  readonly startMs: number;
}

/** The VM that is to be made again by hand. */
export interface Sample {
  /** A domain of vmlet's; names, paths and addresses in it are replaced. */
  readonly xml: string;
  /** The disk that it boots. */
  readonly base: string;
  readonly baseFormat: 'raw' | 'qcow2';
}

const uid = 1_499_900_000;

/** Makes VMs like `sample` beside those of a node, with its libvirtd and in its pod network. */
export async function makeByHand(node: TestNode, sample: Sample): Promise<ByHand> {
  const gid = Number(/^kvm:[^:]*:([0-9]+)/m.exec(await readFile('/etc/group', 'utf8'))?.[1]);
  return {
    start: async (index, signal) => {
      signal.throwIfAborted();
      const vm = describeVm(node, index);
      const undo = makeCleanupStack();
      const inside = async (input: string, ...argv: readonly [string, ...string[]]): Promise<unknown> =>
        runProgram('nsenter', [`--net=${vm.netnsPath}`, ...argv], { signal, ...(input === '' ? {} : { input }) });
      const takeDown = async (): Promise<void> => reportFailures(`by hand, ${vm.name}`, await undo.unwind());
      const began = performance.now();
      try {
        undo.add('take the pod off its network', async (fresh) => removePod(node.network, vm.name, fresh));
        const address = await addPod(node.network, vm.name, signal);
        undo.add('remove the files', async () => rm(vm.dir, { recursive: true, force: true }));
        await makeFiles(vm, sample, gid, signal);
        undo.add('remove the tap', async (fresh) => tryProgram('ip', ['link', 'delete', 'dev', vm.tap], { signal: fresh })); // or it went with the namespace
        await runProgram('ip', ['tuntap', 'add', 'dev', vm.tap, 'mode', 'tap', 'user', String(uid), ...tapFlags(sample.xml)], { signal });
        undo.add('remove the cgroups', () => vm.cgroups.filter(existsSync).forEach((dir) => rmdirSync(dir)));
        for (const dir of vm.cgroups) await mkdir(dir, { recursive: true });
        await writeFile(join(vm.dir, 'domain.xml'), domainOf(sample.xml, vm, { gid, mac: address.mac }));
        undo.add('destroy the VM', async (fresh) => existsSync(vm.qemuPidFile) && virsh(node, fresh, 'destroy', vm.name));
        await virsh(node, signal, 'create', '--paused', join(vm.dir, 'domain.xml'));
        const pid = readFileSync(vm.qemuPidFile, 'utf8').trim();
        for (const dir of vm.cgroups) await writeFile(join(dir, 'cgroup.procs'), pid);
        await runProgram('ip', ['link', 'set', 'dev', vm.tap, 'netns', vm.netnsPath], { signal });
        await inside(bridgeBatch(vm), 'ip', '-batch', '-');
        undo.add(
          'end dnsmasq',
          () => existsSync(vm.dnsmasqPidFile) && signalProcess(Number(readFileSync(vm.dnsmasqPidFile, 'utf8')), 'SIGTERM'),
        );
        await inside('', 'dnsmasq', ...dnsmasqArguments(vm, address));
        await virsh(node, signal, 'resume', vm.name);
        const startMs = performance.now() - began;
        return { name: vm.name, ip: address.cidr.replace(/\/.*/, ''), startMs, [Symbol.asyncDispose]: takeDown };
      } catch (error) {
        await takeDown();
        throw error;
      }
    },
  };
}

/** What `virsh` prints, asked of the node's libvirtd. */
export async function virsh(node: TestNode, signal: AbortSignal, ...args: readonly string[]): Promise<string> {
  const uri = `qemu+unix:///system?socket=${node.runtimeDir}/libvirt/libvirt-sock`;
  const { stdout } = await runProgram('virsh', ['-q', '-c', uri, ...args], { signal });
  return stdout;
}

/** Tells on stderr what could not be undone. */
export function reportFailures(whose: string, failures: readonly CleanupFailure[]): void {
  for (const { description, error } of failures) process.stderr.write(`bench: ${whose}: could not ${description}: ${messageOf(error)}\n`);
}

interface HandMadeVm {
  readonly name: string;
  readonly dir: string;
  readonly netnsPath: string;
  readonly tap: string;
  readonly qemuPidFile: string;
  readonly dnsmasqPidFile: string;
  readonly cgroups: readonly string[];
}

function describeVm(node: TestNode, index: number): HandMadeVm {
  const name = `byhand-${process.pid}-${index}`;
  const dir = join(node.dir, name);
  const roots = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .map(([, path = '']) => path)
    .filter((path) => !path.endsWith('/cpuset')); // an empty cpuset takes no process
  return {
    name,
    dir,
    netnsPath: netnsPathOf(name),
    tap: `bh${process.pid}-${index}`,
    qemuPidFile: join(node.runtimeDir, 'libvirt', 'qemu', `${name}.pid`),
    dnsmasqPidFile: join(dir, 'dnsmasq.pid'),
    cgroups: roots.map((root) => join(root, name)),
  };
}

async function makeFiles(vm: HandMadeVm, { base, baseFormat }: Sample, gid: number, signal: AbortSignal): Promise<void> {
  const at = (file: string): string => join(vm.dir, file);
  await mkdir(at('seed'), { recursive: true, mode: 0o711 });
  await chmod(vm.dir, 0o711);
  await writeFile(at('seed/meta-data'), JSON.stringify({ 'instance-id': vm.name, 'local-hostname': 'vm' }));
  await writeFile(at('seed/user-data'), '#cloud-config\n{}\n');
  await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', baseFormat, at('root.qcow2')], { signal });
  await runProgram('genisoimage', ['-quiet', '-volid', 'cidata', '-rock', '-output', at('seed.iso'), at('seed')], { signal });
  for (const file of ['root.qcow2', 'seed.iso']) await chown(at(file), uid, gid);
}

function domainOf(xml: string, vm: HandMadeVm, own: { readonly gid: number; readonly mac: string }): string {
  return xml
    .replace(/<metadata>.*<\/metadata>/s, '')
    .replace(/<name>.*<\/name>/, `<name>${vm.name}</name>`)
    .replace(/<uuid>.*<\/uuid>/, `<uuid>${randomUUID()}</uuid>`)
    .replace(/<mac address='[^']*'\/>/, `<mac address='${own.mac}'/>`)
    .replace(/<target dev='t[0-9a-f]{13}'/, `<target dev='${vm.tap}'`)
    .replaceAll(/<label>[^<]*<\/label>/g, `<label>+${uid}:+${own.gid}</label>`)
    .replaceAll(/'[^']*\/vms\/[0-9a-f]{12}\//g, `'${vm.dir}/`);
}

/** As the VM opens its tap. */
function tapFlags(xml: string): readonly string[] {
  return /<driver [^>]*queues='/.test(xml) ? ['vnet_hdr', 'multi_queue'] : ['vnet_hdr'];
}

function bridgeBatch(vm: HandMadeVm): string {
  return [
    'link add name br0 type bridge stp_state 0 forward_delay 0',
    'addr add 169.254.254.254/32 dev br0',
    'addr flush dev eth0',
    'link set dev eth0 address 02:00:00:00:00:01',
    'link set dev eth0 master br0 up',
    'link set dev br0 up',
    `link set dev ${vm.tap} master br0 up`,
    '',
  ].join('\n');
}

function dnsmasqArguments(vm: HandMadeVm, { mac, cidr, gateway }: PodAddress): readonly string[] {
  const [address = ''] = cidr.split('/');
  const network = address.replace(/[0-9]+$/, '0');
  return [
    '--conf-file=/dev/null',
    `--pid-file=${vm.dnsmasqPidFile}`,
    `--dhcp-leasefile=${join(vm.dir, 'leases')}`,
    '--user=root',
    '--log-facility=/dev/null',
    '--port=0',
    '--no-ping',
    '--bind-interfaces',
    '--interface=br0',
    `--dhcp-range=${network},static,255.255.255.0,infinite`,
    `--shared-network=br0,${network}`,
    `--dhcp-host=${mac},${address},infinite`,
    `--dhcp-option=option:router,${gateway}`,
  ];
}
