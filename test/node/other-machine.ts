import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../../src/lib/run-program.ts';
import type { PodNetwork } from './pod-network.ts';

/** Another machine, beside the node: a plain network namespace. Disposing it removes it with its links; may be done twice. */
export interface OtherMachine extends AsyncDisposable {
  /** File on which its namespace is mounted. */
  readonly netnsPath: string;
  /** Runs a program there; answers its stdout. */
  readonly inside: (...argv: readonly string[]) => Promise<string>;
  /** Lays a cable to the node: a veth pair whose ends are up and have these names and addresses (CIDR). */
  readonly link: (node: CableEnd, machine: CableEnd & { readonly address: string }) => Promise<void>;
}

/** One end of a cable. */
export interface CableEnd {
  readonly name: string;
  /** With prefix length; without one the end has none. */
  readonly address?: string;
}

const signal = (): AbortSignal => AbortSignal.timeout(20_000);

/** Makes a machine beside the node of `network`; its files are in `dir`. */
export async function makeOtherMachine({ netnsPath: nodePath }: Pick<PodNetwork, 'netnsPath'>, dir: string): Promise<OtherMachine> {
  const netnsPath = join(dir, 'other-machine');
  writeFileSync(netnsPath, '');
  await runProgram('unshare', [`--net=${netnsPath}`, 'ip', 'link', 'set', 'dev', 'lo', 'up'], { signal: signal() });
  const batch = async (path: string, lines: readonly string[]): Promise<void> =>
    void (await runProgram('nsenter', [`--net=${path}`, 'ip', '-batch', '-'], { input: `${lines.join('\n')}\n`, signal: signal() }));
  const setUp = ({ name, address }: CableEnd): readonly string[] => [
    ...(address === undefined ? [] : [`address add ${address} dev ${name}${address.includes(':') ? ' nodad' : ''}`]),
    `link set dev ${name} up`,
  ];
  const cables: string[] = [];
  let gone = false;
  return {
    netnsPath,
    inside: async (...argv) => (await runProgram('nsenter', [`--net=${netnsPath}`, ...argv], { signal: signal() })).stdout,
    link: async (node, machine) => {
      await batch(nodePath, [`link add name ${node.name} type veth peer name ${machine.name} netns ${netnsPath}`, ...setUp(node)]);
      await batch(netnsPath, setUp(machine));
      cables.push(machine.name);
    },
    [Symbol.asyncDispose]: async () => {
      if (gone) return;
      gone = true;
      try {
        // Now, not when the kernel comes to it: who looks for leftovers next would find the node's ends.
        await batch(
          netnsPath,
          cables.map((name) => `link del dev ${name}`),
        );
      } finally {
        await runProgram('umount', ['--lazy', netnsPath], { signal: signal() });
      }
    },
  };
}
