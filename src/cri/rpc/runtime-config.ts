import { CgroupDriver, RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { rpc } from '../table.ts';

/** Tells the cgroup driver, which kubelet and runtime must agree on. */
export const runtimeConfig = rpc(RuntimeService.method.runtimeConfig, {}, (_request, { runtime }) => ({
  linux: { cgroupDriver: runtime.cgroupDriver === 'systemd' ? CgroupDriver.SYSTEMD : CgroupDriver.CGROUPFS },
}));
