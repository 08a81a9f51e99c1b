import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NamespaceMode } from '../../src/gen/runtime/v1/api_pb.js';
import { programPath, runProgram } from '../../src/lib/run-program.ts';
import { makeCriClient, type CriClient } from '../lib/cri-client.ts';
import { waitFor } from '../lib/wait.ts';

/** A containerd of the benchmark's own, with pods that sleep. */
export interface Containerd extends AsyncDisposable {
  readonly client: CriClient;
}

const image = 'bench.local/sleeper:1';

/** True where the machine has containerd, runc and a busybox to put into the image. */
export function hasContainerd(): boolean {
  return ['/usr/bin/containerd', '/usr/bin/ctr', '/usr/sbin/runc', '/bin/busybox'].every(existsSync);
}

/** Starts containerd with `count` pods of one container each, on the host's network. */
export async function startContainerd(count: number, signal: AbortSignal): Promise<Containerd> {
  await using undo = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-ctrd-'));
  undo.defer(() => rmSync(dir, { recursive: true, force: true }));
  const socket = join(dir, 'containerd.sock');
  const config = join(dir, 'config.toml');
  writeFileSync(config, configuration(dir, socket));
  const log = openSync(join(dir, 'log'), 'a');
  const child = spawn('containerd', ['--config', config], { stdio: ['ignore', log, log], env: { PATH: programPath } });
  undo.defer(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  const client = makeCriClient(socket);
  undo.defer(() => client.close());
  await waitFor(async () => (await client.runtime.version({}, { timeoutMs: 2_000 })).runtimeName, {
    timeoutMs: 30_000,
    what: 'containerd',
  });
  const archive = await makeImage(dir, signal);
  await runProgram('ctr', ['--address', socket, '--namespace', 'k8s.io', 'images', 'import', archive], { signal });
  undo.defer(async () => removePods(client));
  for (let index = 0; index < count; index += 1) await startPod(client, index);
  const ends = undo.move();
  return { client, [Symbol.asyncDispose]: async () => ends.disposeAsync() };
}

function configuration(dir: string, socket: string): string {
  return `version = 2
root = "${dir}/root"
state = "${dir}/state"
[grpc]
address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${image}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "${dir}"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
`;
}

/** An image that sleeps, as \`docker save\` would write it. */
async function makeImage(dir: string, signal: AbortSignal): Promise<string> {
  const files = join(dir, 'image');
  const root = join(dir, 'rootfs');
  mkdirSync(join(root, 'bin'), { recursive: true });
  mkdirSync(files);
  copyFileSync('/bin/busybox', join(root, 'bin', 'busybox'));
  await runProgram('tar', ['-C', root, '-cf', join(files, 'layer.tar'), '.'], { signal });
  const { stdout } = await runProgram('sha256sum', [join(files, 'layer.tar')], { signal });
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    config: { Entrypoint: ['/bin/busybox', 'sleep', '1000000'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${stdout.split(' ')[0]}`] },
  });
  const name = `${createHash('sha256').update(config).digest('hex')}.json`;
  writeFileSync(join(files, name), config);
  writeFileSync(join(files, 'manifest.json'), JSON.stringify([{ Config: name, RepoTags: [image], Layers: ['layer.tar'] }]));
  const archive = join(dir, 'image.tar');
  await runProgram('tar', ['-C', files, '-cf', archive, '.'], { signal });
  return archive;
}

async function startPod({ runtime }: CriClient, index: number): Promise<void> {
  const name = `pod-${index}`;
  const namespaceOptions = { network: NamespaceMode.NODE, pid: NamespaceMode.CONTAINER, ipc: NamespaceMode.POD };
  const labels = { 'io.kubernetes.pod.name': name, 'io.kubernetes.pod.namespace': 'default', 'io.kubernetes.pod.uid': `uid-${index}` };
  const sandboxConfig = {
    metadata: { name, namespace: 'default', uid: `uid-${index}`, attempt: 0 },
    labels,
    linux: { securityContext: { namespaceOptions } },
  };
  const { podSandboxId } = await runtime.runPodSandbox({ config: sandboxConfig });
  const config = {
    metadata: { name: 'sleeper', attempt: 0 },
    image: { image },
    labels: { ...labels, 'io.kubernetes.container.name': 'sleeper' },
    linux: { securityContext: { namespaceOptions } },
  };
  const { containerId } = await runtime.createContainer({ podSandboxId, config, sandboxConfig });
  await runtime.startContainer({ containerId });
}

async function removePods({ runtime }: CriClient): Promise<void> {
  const { items } = await runtime.listPodSandbox({});
  for (const { id } of items) {
    await runtime.stopPodSandbox({ podSandboxId: id });
    await runtime.removePodSandbox({ podSandboxId: id });
  }
}
