import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { abandonOnAbort, withTimeout } from '../../src/lib/signals.ts';
import { ensureTinyImage } from '../../images/tiny/image.ts';
import { deletePod, podFromManifest, runPod, type Pod, type Progress, type RunningPod } from '../../test/kubelet/kubelet.ts';
import { startNode, type TestNode } from '../../test/node/node.ts';
import { bootStage, followLog, lastLine, untilAnswer } from './guest.ts';
import { saveKept } from './keep.ts';
import type { Screen } from './screen.ts';

const root = join(import.meta.dirname, '..', '..');
const imageFileName = 'tiny.qcow2';
/** Emulated on a busy machine, the guest takes up to half a minute. */
const bootTimeoutMs = 180_000;

/** Runs the demo from the image to the clean-up. Whatever happens, nothing stays behind unless `keep` is asked for and all went well. */
export async function runDemo(keep: boolean, screen: Screen, signal: AbortSignal): Promise<void> {
  const pod = podFromManifest(readFileSync(join(root, 'examples', 'tiny-pod.yaml'), 'utf8'));
  const file = await ensureTinyImage((line) => screen.line('image', line.replace(/^tiny: /, '').replace(`${root}/`, '')), signal);
  screen.line('node', 'starting a private libvirtd and the daemon');
  const stopClock = showTime(screen, 'node', () => 'libvirtd looks at QEMU, vmlet tries whether KVM works');
  const image = pod.containers[0]?.image ?? '';
  const options = { images: [{ name: image, file }], config: { domainType: 'auto' }, signal };
  const node = await startNode(options).finally(stopClock);
  let kept = false;
  try {
    screen.line('node', `ready; CRI socket ${node.socket}, pod network ${node.network.subnet}`);
    await showWarning(node, screen);
    const running = await showPod(node, pod, screen, signal);
    if (keep) {
      saveKept({ traces: node.traces(), socket: node.socket, settings: node.kubelet.settings, running });
      kept = true;
      tellKept(node, running, screen);
    } else await showEnd(node, running, screen, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n\nthe daemon's log ends with:\n${node.logTail()}`, {
      cause: error,
    });
  } finally {
    if (kept) await node.release();
    else {
      screen.update('clean', 'ending daemon and libvirtd');
      await node.stop();
      screen.line('clean', 'daemon, libvirtd, network and files are gone');
    }
  }
}

async function showPod(node: TestNode, pod: Pod, screen: Screen, signal: AbortSignal): Promise<RunningPod> {
  screen.line('pod', `${pod.namespace}/${pod.name} from examples/tiny-pod.yaml, runtimeClassName ${pod.runtimeHandler}`);
  const stopMeter = showPull(node, screen);
  const running = await runPod(node.kubelet, pod, {
    signal,
    on: (progress) => {
      if (progress.stage === 'pulled') stopMeter();
      tellProgress(progress, screen);
    },
  }).finally(stopMeter);
  await showBoot(node, running, screen, signal);
  return running;
}

/** Shows the guest's console until it has booted and its web server answers. */
async function showBoot(node: TestNode, running: RunningPod, screen: Screen, signal: AbortSignal): Promise<void> {
  const url = `http://${running.ips[0]}/`;
  let stage = 'firmware and kernel';
  const booted = Promise.withResolvers<void>();
  const follower = new AbortController();
  const following = followLog(running.containers[0]?.logPath ?? '', follower.signal, (line) => {
    screen.console(line);
    stage = bootStage(line) ?? stage;
    if (line.includes(lastLine)) booted.resolve();
  });
  const stopClock = showTime(screen, 'boot', () => stage);
  try {
    using deadline = withTimeout(signal, bootTimeoutMs, 'the start of the guest');
    const [answer] = await Promise.all([untilAnswer(node.network, url, bootTimeoutMs, signal), abandonOnAbort(booted.promise, deadline)]);
    screen.line('http', `GET ${url} -> ${answer.status} ${JSON.stringify(answer.text.trim().slice(0, 200))}`);
    screen.line('pod', `runs; its IP is ${running.ips[0]}`);
  } finally {
    stopClock();
    follower.abort();
    await following;
  }
}

/** Shows how much of the image has been sent, on a terminal. Answers what ends it. */
function showPull(node: TestNode, screen: Screen): () => void {
  const timer = setInterval(() => {
    const { sent, total } = node.images.sentBytes(imageFileName);
    if (sent > 0) screen.update('pull', `${mebibytes(sent)} of ${mebibytes(total)}`);
  }, 100);
  return () => clearInterval(timer);
}

/** Shows how long a step lasts, on a terminal. Answers what ends it. */
function showTime(screen: Screen, label: string, what: () => string): () => void {
  const started = performance.now();
  const timer = setInterval(() => screen.update(label, `${what()}, ${((performance.now() - started) / 1_000).toFixed(0)} s`), 250);
  return () => clearInterval(timer);
}

/** What the runtime itself has to say though it is ready: that VMs are emulated, for one. */
async function showWarning(node: TestNode, screen: Screen): Promise<void> {
  const { status } = await node.kubelet.client.runtime.status({});
  const message = status?.conditions.find(({ type }) => type === 'RuntimeReady')?.message ?? '';
  if (message !== '') screen.line('node', message.slice(0, 200));
}

function tellProgress(progress: Progress, screen: Screen): void {
  switch (progress.stage) {
    case 'runtime':
      screen.line('runtime', `${progress.name} ${progress.version} speaks CRI v1`);
      break;
    case 'sandbox':
      screen.line('sandbox', `${progress.sandboxId.slice(0, 12)}: network is up, pod IP ${progress.ip}`);
      break;
    case 'image present':
    case 'pulling':
      screen.line('pull', `${progress.image}: ${progress.stage === 'pulling' ? 'downloading over HTTP' : 'is on the node already'}`);
      break;
    case 'pulled':
      screen.line('pull', `${progress.image}: ${mebibytes(progress.sizeBytes ?? 0)}, checked and stored`);
      break;
    case 'created':
    case 'started':
      screen.line(
        progress.stage === 'created' ? 'create' : 'start',
        `container ${progress.container}: VM vmlet-${progress.containerId.slice(0, 12)}`,
      );
      break;
  }
}

async function showEnd(node: TestNode, running: RunningPod, screen: Screen, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  screen.update('stop', 'pressing the power button');
  const [status] = await deletePod(node.kubelet, running, { signal });
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  screen.line('stop', `guest powered off and pod removed in ${seconds} s: exit code ${status?.exitCode}, ${status?.reason}`);
  const left = await node.leftovers();
  if (left.length > 0) throw new Error(`the pod left something behind:\n${left.join('\n')}`);
  screen.line('clean', 'the pod left nothing behind');
}

function tellKept(node: TestNode, running: RunningPod, screen: Screen): void {
  const crictl = `crictl --runtime-endpoint unix://${node.socket}`;
  screen.line('kept', `everything goes on in ${node.dir}`);
  screen.line('look', `${crictl} pods`);
  screen.line('look', `${crictl} logs ${running.containers[0]?.id.slice(0, 12)}`);
  screen.line('look', `nsenter --net=${node.network.netnsPath} curl http://${running.ips[0]}/`);
  screen.line('end', `npm run demo -- --stop ${node.dir}`);
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
