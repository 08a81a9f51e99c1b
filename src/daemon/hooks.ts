import { status } from '@grpc/grpc-js';
import type { CallHooks } from '../cri/cri.ts';
import type { HypervisorHooks } from '../hypervisor/hypervisor.ts';
import type { PullHooks } from '../images/images.ts';
import type { Metrics } from '../metrics/metrics.ts';

/** What the rooms tell for counting. */
export interface Hooks {
  readonly hypervisor: HypervisorHooks;
  readonly pulls: PullHooks;
  readonly onRecordRead: () => void;
  readonly calls: CallHooks;
}

/** Joins the rooms' hooks to the metrics. */
export function hooksOf({ rpc, libvirt, vms, images, records }: Metrics): Hooks {
  return {
    hypervisor: { ...libvirt, ...vms },
    pulls: images,
    onRecordRead: records.onRead,
    calls: {
      onCallStarted: (path) => rpc.started(methodOf(path)),
      onCall: ({ path, code, seconds }) => rpc.ended(methodOf(path), status[code], seconds),
    },
  };
}

function methodOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
