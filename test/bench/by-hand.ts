import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmdirSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeCleanupStack } from '../../src/lib/cleanup-stack.ts';
import { messageOf } from '../../src/lib/errno.ts';
import { runProgram, tryProgram } from '../../src/lib/run-program.ts';
import type { TestNode } from '../node/node.ts';
import { timed } from './vm-starts.ts';

/**
 * What a node's operator would do by hand, with the programs that vmlet uses or those that do the same, one after the other. It does no
 * more than is needed: no packet filter, no records, nothing to come back to after a crash.
 */
export interface ByHand {
  /** Starts a VM in a pod's network, answers how long that took in milliseconds, and takes it down again. */
  readonly start: (index: number, signal: AbortSignal) => Promise<number>;
}

const uid = 1_499_900_000;

/** `xml` is a domain of vmlet's; names, paths and addresses in it are replaced. `base` is the disk that it boots. */
export async function makeByHand(node: TestNode, sample: { readonly xml: string; readonly base: string }): Promise<ByHand> {
  const gid = Number(/^kvm:[^:]*:([0-9]+)/m.exec(await readFile('/etc/group', 'utf8'))?.[1]);
  const uri = `qemu+unix:///system?socket=${node.runtimeDir}/libvirt/libvirt-sock`;
  const virsh = async (signal: AbortSignal, ...args: readonly string[]): Promise<unknown> =>
    runProgram('virsh', ['-q', '-c', uri, ...args], { signal });

  return {
    start: async (index, signal) => {
      signal.throwIfAborted();
      const vm = describeVm(node, index);
      const undo = makeCleanupStack();
      const inside = async (input: string, ...argv: readonly [string, ...string[]]): Promise<unknown> =>
        runProgram('nsenter', [`--net=${vm.netnsPath}`, ...argv], { signal, ...(input === '' ? {} : { input }) });
      try {
        return await timed(async () => {
          undo.add('delete the network namespace', async (fresh) => deleteNetns(vm, fresh));
          await runProgram('ip', ['netns', 'add', vm.netns], { signal });
          undo.add('take the pod off its network', async (fresh) => removeFromNetwork(node, vm, fresh));
          const address = await addToNetwork(node, vm, signal);
          undo.add('remove the files', async () => rm(vm.dir, { recursive: true, force: true }));
          await makeFiles(vm, sample.base, gid, signal);
          undo.add('remove the tap', async (fresh) => tryProgram('ip', ['link', 'delete', 'dev', vm.tap], { signal: fresh })); // or it went with the namespace
          await runProgram('ip', ['tuntap', 'add', 'dev', vm.tap, 'mode', 'tap', 'user', String(uid), 'vnet_hdr'], { signal });
          undo.add('remove the cgroups', () => vm.cgroups.filter(existsSync).forEach((dir) => rmdirSync(dir)));
          for (const dir of vm.cgroups) await mkdir(dir, { recursive: true });
          await writeFile(join(vm.dir, 'domain.xml'), domainOf(sample.xml, vm, { gid, mac: address.mac }));
          undo.add('destroy the VM', async (fresh) => existsSync(vm.qemuPidFile) && virsh(fresh, 'destroy', vm.name));
          await virsh(signal, 'create', '--paused', join(vm.dir, 'domain.xml'));
          const pid = readFileSync(vm.qemuPidFile, 'utf8').trim();
          for (const dir of vm.cgroups) await writeFile(join(dir, 'cgroup.procs'), pid);
          await runProgram('ip', ['link', 'set', 'dev', vm.tap, 'netns', vm.netnsPath], { signal });
          await inside(bridgeBatch(vm), 'ip', '-batch', '-');
          undo.add(
            'end dnsmasq',
            () => existsSync(vm.dnsmasqPidFile) && process.kill(Number(readFileSync(vm.dnsmasqPidFile, 'utf8')), 'SIGTERM'),
          );
          await inside('', 'dnsmasq', ...dnsmasqArguments(vm, address));
          await virsh(signal, 'resume', vm.name);
        });
      } finally {
        for (const { description, error } of await undo.unwind())
          process.stderr.write(`bench: by hand, ${vm.name}: could not ${description}: ${messageOf(error)}\n`);
      }
    },
  };
}

interface HandMadeVm {
  readonly name: string;
  readonly dir: string;
  readonly netns: string;
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
    netns: name,
    netnsPath: `/run/netns/${name}`,
    tap: `bh${process.pid}-${index}`,
    qemuPidFile: join(node.runtimeDir, 'libvirt', 'qemu', `${name}.pid`),
    dnsmasqPidFile: join(dir, 'dnsmasq.pid'),
    cgroups: roots.map((root) => join(root, name)),
  };
}

const cniResult = z.object({
  interfaces: z.array(z.object({ name: z.string(), mac: z.string(), sandbox: z.string().optional() })),
  ips: z.array(z.object({ address: z.string(), gateway: z.string().optional() })),
});

interface Address {
  readonly mac: string;
  readonly cidr: string;
  readonly gateway: string;
}

async function addToNetwork(node: TestNode, vm: HandMadeVm, signal: AbortSignal): Promise<Address> {
  let result: unknown;
  for (const plugin of node.network.conflist.plugins) result = JSON.parse(await cni(node, vm, { command: 'ADD', plugin, result }, signal));
  const { interfaces, ips } = cniResult.parse(result);
  const own = interfaces.find(({ sandbox }) => sandbox === vm.netnsPath);
  return { mac: own?.mac ?? '', cidr: ips[0]?.address ?? '', gateway: ips[0]?.gateway ?? '' };
}

interface PluginCall {
  readonly command: 'ADD' | 'DEL';
  readonly plugin: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
}

async function cni(node: TestNode, vm: HandMadeVm, call: PluginCall, signal: AbortSignal): Promise<string> {
  const { binDir, conflist } = node.network;
  const { cniVersion, name } = conflist;
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: vm.name,
    CNI_NETNS: vm.netnsPath,
    CNI_IFNAME: 'eth0',
    CNI_PATH: binDir,
  };
  const input = JSON.stringify({ cniVersion, name, ...call.plugin, ...(call.result === undefined ? {} : { prevResult: call.result }) });
  const { stdout } = await runProgram(join(binDir, String(call.plugin['type'])), [], { signal, env, input });
  return stdout;
}

async function makeFiles(vm: HandMadeVm, base: string, gid: number, signal: AbortSignal): Promise<void> {
  const at = (file: string): string => join(vm.dir, file);
  await mkdir(at('seed'), { recursive: true, mode: 0o711 });
  await chmod(vm.dir, 0o711);
  await writeFile(at('seed/meta-data'), JSON.stringify({ 'instance-id': vm.name, 'local-hostname': 'vm' }));
  await writeFile(at('seed/user-data'), '#cloud-config\n{}\n');
  await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', at('root.qcow2')], { signal });
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

function dnsmasqArguments(vm: HandMadeVm, { mac, cidr, gateway }: Address): readonly string[] {
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

async function removeFromNetwork(node: TestNode, vm: HandMadeVm, signal: AbortSignal): Promise<void> {
  for (const plugin of node.network.conflist.plugins.toReversed()) await cni(node, vm, { command: 'DEL', plugin }, signal);
}

async function deleteNetns(vm: HandMadeVm, signal: AbortSignal): Promise<void> {
  if (existsSync(vm.netnsPath)) await runProgram('ip', ['netns', 'delete', vm.netns], { signal });
}
