import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * A CNI plugin for tests, run as a program in the node's namespace: a routed network without a subnet, as Calico makes it. The pod has a
 * /32 and, as its gateway, 169.254.1.1, which nobody has: the node's end of the veth answers ARP for it and all others. The node knows
 * each pod by a route to its end, `routed` and the first eight digits of the container's id. Addresses come from the plugin of `ipam`.
 */
const gateway = '169.254.1.1';
const text = readFileSync(0, 'utf8');
const input = z.looseObject({ cniVersion: z.string(), mtu: z.int().default(1500), ipam: z.looseObject({ type: z.string() }) });
const ipamResult = z.looseObject({ ips: z.tuple([z.looseObject({ address: z.string() })]) });
const { CNI_COMMAND: command, CNI_CONTAINERID: id = '', CNI_IFNAME: name = '', CNI_NETNS: netns = '', CNI_PATH: path = '' } = process.env;
const nodeEnd = `routed${id.slice(0, 8)}`;

if (command === 'ADD') add();
else if (command === 'DEL') remove();
else process.stdout.write(JSON.stringify({ cniVersion: '1.0.0', supportedVersions: ['1.0.0'] }));

function add(): void {
  const { cniVersion, mtu } = input.parse(JSON.parse(text));
  const { ips } = ipamResult.parse(JSON.parse(ipam()));
  const address = `${ips[0].address.split('/')[0]}/32`;
  batch(['ip'], [`link add name ${nodeEnd} mtu ${mtu} type veth peer name ${name} mtu ${mtu} netns ${netns}`]);
  set(`conf/${nodeEnd}/proxy_arp`, 1);
  set(`neigh/${nodeEnd}/proxy_delay`, 0);
  set('ip_forward', 1);
  batch(['ip'], [`link set dev ${nodeEnd} up`, `route add ${address} dev ${nodeEnd} scope link`]);
  const routes = [`route add ${gateway} dev ${name} scope link`, `route add default via ${gateway} dev ${name}`];
  batch(['nsenter', `--net=${netns}`, 'ip'], [`address add ${address} dev ${name}`, `link set dev ${name} up`, ...routes]);
  const interfaces = [{ name: nodeEnd }, { name, sandbox: netns }];
  process.stdout.write(JSON.stringify({ cniVersion, interfaces, ips: [{ address, interface: 1 }] }));
}

function remove(): void {
  if (existsSync(`/proc/sys/net/ipv4/conf/${nodeEnd}`)) batch(['ip'], [`link del dev ${nodeEnd}`]);
  ipam();
}

function ipam(): string {
  const [binDir = ''] = path.split(':').toReversed();
  return execFileSync(join(binDir, input.parse(JSON.parse(text)).ipam.type), { input: text, encoding: 'utf8' });
}

function batch([program, ...args]: readonly [string, ...string[]], lines: readonly string[]): void {
  execFileSync(program, [...args, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

function set(name: string, value: number): void {
  writeFileSync(`/proc/sys/net/ipv4/${name}`, String(value));
}
