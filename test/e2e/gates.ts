import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../lib/wait.ts';
import type { ImageAnswer } from '../node/image-server.ts';
import { addPlugin, type PodNetwork, type TestNode } from '../node/node.ts';

/** Holds up work of the daemon at a place, for as long as a test wants. */
export interface Gate {
  readonly close: () => void;
  /** Lets through what waits; an open gate is fine. */
  readonly open: () => void;
  /** Waits until something has come to the closed gate. */
  readonly reached: () => Promise<void>;
}

/** A CNI plugin that waits at gates before it does what the bridge plugin does. */
export interface GatedPlugin {
  readonly type: string;
  readonly add: Gate;
  readonly del: Gate;
  /** How often it was called with a command. */
  readonly calls: (command: 'ADD' | 'DEL') => number;
}

const waitMs = 30_000;

/** Adds the plugin `gated` to a pod network; its files lie in the plugins' directory. */
export function addGatedPlugin(network: PodNetwork): GatedPlugin {
  const file = (name: string): string => join(network.binDir, name);
  const log = file('gated.calls');
  const script = [
    `echo "$CNI_COMMAND" >>${log}`,
    `while [ -e ${file('closed.$CNI_COMMAND')} ]; do touch ${file('reached.$CNI_COMMAND')}; sleep 0.02; done`,
    `exec ${file('bridge')}`,
  ];
  addPlugin(network, 'gated', script.join('\n'));
  const gate = (command: string): Gate => ({
    close: () => {
      rmSync(file(`reached.${command}`), { force: true });
      writeFileSync(file(`closed.${command}`), '');
    },
    open: () => rmSync(file(`closed.${command}`), { force: true }),
    reached: async () => {
      await waitFor(() => existsSync(file(`reached.${command}`)), { timeoutMs: waitMs, what: `CNI ${command}` });
    },
  });
  return {
    type: 'gated',
    add: gate('ADD'),
    del: gate('DEL'),
    calls: (command) =>
      existsSync(log)
        ? readFileSync(log, 'utf8')
            .split('\n')
            .filter((line) => line === command).length
        : 0,
  };
}

/** Halts the node's libvirtd: CreateContainer, StartContainer and every end of a VM wait. Shorter than the client's patience with it, 25 s. */
export function libvirtdGate(node: TestNode): Gate {
  let pid: number | undefined;
  let before: readonly string[] = [];
  const records = (): string[] => globSync(join(node.stateDir, 'records', 'containers', '*.json'));
  return {
    close: () => {
      before = records();
      pid = node.libvirtdPid();
      process.kill(pid, 'SIGSTOP');
    },
    open: () => {
      if (pid !== undefined) process.kill(pid, 'SIGCONT');
      pid = undefined;
    },
    reached: async () => {
      const isNew = (): boolean => records().some((file) => !before.includes(file));
      await waitFor(isNew, { timeoutMs: waitMs, what: 'record of a container being created' });
    },
  };
}

/** Serves bytes; half of them come when the gate is open. */
export function gatedDownload(bytes: Uint8Array): Gate & { readonly answer: ImageAnswer } {
  let opened = Promise.withResolvers<void>();
  let waiting = 0;
  opened.resolve();
  return {
    close: () => {
      opened = Promise.withResolvers();
      waiting = 0;
    },
    open: () => opened.resolve(),
    reached: async () => {
      await waitFor(() => waiting > 0, { timeoutMs: waitMs, what: 'download' });
    },
    answer: async (_request, response) => {
      const half = bytes.length / 2;
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes.length });
      response.write(bytes.subarray(0, half));
      waiting += 1;
      await opened.promise;
      response.end(bytes.subarray(half));
    },
  };
}
