import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Space } from '../cri/cri.ts';
import type { Log } from '../lib/log.ts';
import { makeSpaceSampler } from '../lib/space-sampler.ts';

const periodMs = 10_000;

/** What VMs' disks take, kept current in the background. */
export interface RootDiskSpace extends Disposable {
  readonly latest: () => Space;
}

/**
 * Measures the directory of VMs. Where it shares the file system of images it has their mountpoint: for a kubelet, different ones are different
 * file systems.
 */
export async function makeRootDiskSpace(stateDir: string, log: Log): Promise<RootDiskSpace> {
  const [vms, images] = [join(stateDir, 'vms'), join(stateDir, 'images')];
  await mkdir(vms, { recursive: true, mode: 0o711 });
  const isShared = (await stat(vms)).dev === (await stat(images)).dev;
  const sampler = await makeSpaceSampler(vms, periodMs, log);
  return {
    latest: () => ({ mountpoint: isShared ? images : vms, ...sampler.latest() }),
    [Symbol.dispose]: () => sampler[Symbol.dispose](),
  };
}
