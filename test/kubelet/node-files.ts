import { globSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';
import type { Pod, PodContainer } from './pod.ts';
import { containerLogPath, podFiles, podLogDir, terminationLog, type KubeletSettings } from './settings.ts';

/** Makes what a kubelet makes before RunPodSandbox: the log directory, /etc/hosts, the service account's token directory. */
export async function makePodFiles(settings: KubeletSettings, pod: Pod): Promise<void> {
  const files = podFiles(settings, pod);
  await mkdir(podLogDir(settings, pod), { recursive: true, mode: 0o755 });
  await mkdir(files.dir, { recursive: true, mode: 0o750 });
  await writeFile(files.etcHosts, '# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n');
  if (!pod.automountServiceAccountToken) return;
  await mkdir(files.token, { recursive: true });
  await writeFile(`${files.token}/token`, 'not-a-token', { mode: 0o600 });
}

/** Makes what a kubelet makes before CreateContainer: the log's directory and the file for the termination message. */
export async function makeContainerFiles(
  settings: KubeletSettings,
  pod: Pod,
  which: { container: PodContainer; attempt: number },
): Promise<void> {
  const message = terminationLog(settings, pod, which.container, which.attempt);
  const log = `${podLogDir(settings, pod)}/${containerLogPath(which.container, which.attempt)}`;
  await mkdir(dirname(message), { recursive: true });
  await writeFile(message, '', { mode: 0o666 });
  await mkdir(dirname(log), { recursive: true, mode: 0o755 });
}

/** Deletes a removed container's logs like the kubelet: everything that begins with the log's path. Throws when that is not absolute. */
export async function removeLogs(logPath: string): Promise<void> {
  if (!isAbsolute(logPath))
    throw new Error(`the log path ${JSON.stringify(logPath)} is not absolute: a kubelet would delete files elsewhere`);
  for (const file of globSync(`${logPath}*`)) await rm(file, { force: true });
}

/** Deletes what `makePodFiles` and `makeContainerFiles` made. */
export async function removePodFiles(settings: KubeletSettings, pod: Pod): Promise<void> {
  await rm(podFiles(settings, pod).dir, { recursive: true, force: true });
  await rm(podLogDir(settings, pod), { recursive: true, force: true });
}
