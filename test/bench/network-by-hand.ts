import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { runProgram } from '../../src/lib/run-program.ts';
import type { PodNetwork } from '../node/node.ts';

/** What the plugins have given to a pod. */
export interface PodAddress {
  readonly mac: string;
  /** With prefix length. */
  readonly cidr: string;
  readonly gateway: string;
}

/** Where the namespace of a pod that is made by hand is mounted. */
export function netnsPathOf(pod: string): string {
  return `/run/netns/${pod}`;
}

/** `ip netns add`, then ADD of the network's plugins, one program after the other. `pod` names the namespace and the attachment. */
export async function addPod(network: PodNetwork, pod: string, signal: AbortSignal): Promise<PodAddress> {
  await runProgram('ip', ['netns', 'add', pod], { signal });
  let result: unknown;
  for (const plugin of network.conflist.plugins) {
    result = JSON.parse(await runPlugin(network, pod, { command: 'ADD', plugin, result }, signal));
  }
  const { interfaces, ips } = cniResult.parse(result);
  const own = interfaces.find(({ sandbox }) => sandbox === netnsPathOf(pod));
  return { mac: own?.mac ?? '', cidr: ips[0]?.address ?? '', gateway: ips[0]?.gateway ?? '' };
}

/** DEL of the plugins and the end of the namespace; also of a pod whose adding was cut short. */
export async function removePod(network: PodNetwork, pod: string, signal: AbortSignal): Promise<void> {
  try {
    for (const plugin of network.conflist.plugins.toReversed()) await runPlugin(network, pod, { command: 'DEL', plugin }, signal);
  } finally {
    if (existsSync(netnsPathOf(pod))) await runProgram('ip', ['netns', 'delete', pod], { signal });
  }
}

const cniResult = z.object({
  interfaces: z.array(z.object({ name: z.string(), mac: z.string(), sandbox: z.string().optional() })),
  ips: z.array(z.object({ address: z.string(), gateway: z.string().optional() })),
});

interface PluginCall {
  readonly command: 'ADD' | 'DEL';
  readonly plugin: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
}

async function runPlugin({ binDir, conflist }: PodNetwork, pod: string, call: PluginCall, signal: AbortSignal): Promise<string> {
  const { cniVersion, name } = conflist;
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: pod,
    CNI_NETNS: netnsPathOf(pod),
    CNI_IFNAME: 'eth0',
    CNI_PATH: binDir,
  };
  const input = JSON.stringify({ cniVersion, name, ...call.plugin, ...(call.result === undefined ? {} : { prevResult: call.result }) });
  const { stdout } = await runProgram(join(binDir, String(call.plugin['type'])), [], { signal, env, input });
  return stdout;
}
