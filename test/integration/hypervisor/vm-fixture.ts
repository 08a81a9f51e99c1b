import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootMarker, makeBootDisk, type BootSectorKind } from '../../../images/bootsector/sectors.ts';
import type { VmSpec } from '../../../src/hypervisor/hypervisor.ts';
import { randomId, uuidFromId } from '../../../src/lib/ids.ts';

/** What a boot sector of this kind writes first. */
export { bootMarker };

/** An uid that nothing else on the machine has. */
export const vmUid = 1_499_999_001;

/** A disk that a VM boots. */
export interface BaseDisk {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
}

/** A VM without network on a boot sector, with its files as the other rooms would have made them. */
export function makeVmSpec(dir: string, kind: BootSectorKind, gid: number): VmSpec {
  const path = join(dir, `${kind}.raw`);
  writeFileSync(path, makeBootDisk(kind), { mode: 0o644 });
  return vmSpecOn({ path, format: 'raw' }, dir, gid);
}

/** A VM without network on any disk. */
export function vmSpecOn(base: BaseDisk, dir: string, gid: number): VmSpec {
  const sandboxId = randomId();
  const containerId = randomId();
  const name = `vmlet-${containerId.slice(0, 12)}`;
  const own = join(dir, name);
  mkdirSync(own, { mode: 0o711 });
  chmodSync(own, 0o711);
  const at = (file: string): string => join(own, file);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base.path, '-F', base.format, at('root.qcow2')]);
  writeFileSync(at('seed.iso'), Buffer.alloc(2048));
  for (const file of ['root.qcow2', 'seed.iso']) {
    chmodSync(at(file), 0o600);
    chownSync(at(file), vmUid, gid);
  }
  return {
    name,
    uuid: uuidFromId(sandboxId),
    identity: {
      sandboxId,
      containerId,
      namespace: 'default',
      podName: 'müller & söhne',
      podUid: '3f2504e0-4f89-41d3-9a0c-0305e82c3301',
      sandboxAttempt: 0,
      containerName: 'vm',
      containerAttempt: 3,
    },
    vcpus: 2,
    memoryMiB: 128,
    uid: vmUid,
    gid,
    rootDisk: { path: at('root.qcow2'), base },
    seedPath: at('seed.iso'),
    interfaces: [],
    console: { socketPath: at('console.sock'), logPath: at('console.log') },
    reportSocketPath: at('report.sock'),
  };
}
