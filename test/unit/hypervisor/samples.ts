import type { VmIdentity } from '../../../src/model/vm-identity.ts';

/** The identity of a VM, as domains of ours carry it. */
export const sampleIdentity: VmIdentity = {
  sandboxId: '0'.repeat(63) + '1',
  containerId: '0123456789ab'.padEnd(64, 'c'),
  namespace: 'default',
  podName: 'legacy-app',
  podUid: '3f2504e0-4f89-41d3-9a0c-0305e82c3301',
  sandboxAttempt: 1,
  containerName: 'vm',
  containerAttempt: 2,
};
