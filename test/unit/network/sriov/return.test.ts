import { expect, it } from 'vitest';
import { silentLog } from '../../../../src/lib/log.ts';
import type { AttachmentRecord } from '../../../../src/network/attachment-record.ts';
import type { Pci } from '../../../../src/network/sriov/pci.ts';
import { returnFunctions } from '../../../../src/network/sriov/return.ts';

const pciAddress = '0000:3b:02.1';
const link = {
  name: 'net1',
  kind: '',
  linkType: 'ether',
  mac: '02:00:00:00:00:01',
  mtu: 1500,
  ipv6Disabled: false,
  addresses: [],
  routes: [],
};
const guest = { name: 'net1', mac: link.mac, mtu: 1500, addresses: [], routes: [], virtualFunction: { pciAddress } };
const dns = { servers: [], searches: [], options: [] };
const record: AttachmentRecord = {
  netnsPath: '/run/netns/vmlet-1',
  hostname: 'web',
  network: { name: 'net', cniVersion: '1.0.0', plugins: [] },
  subject: { sandboxId: 'a', metadata: { name: 'web', namespace: 'default', uid: 'u', attempt: 0 }, capabilities: {} },
  added: {
    result: {},
    link,
    attachment: { sandboxId: 'a', netnsPath: '/run/netns/vmlet-1', ips: [], interfaces: [guest], dns },
  },
};

it('a function is not taken from a VM that still has it', async () => {
  const pci: Pci = {
    device: async (address) => ({ address, driver: 'vfio-pci', interfaces: [], iommuGroup: { number: '43', others: [] } }),
    hasDriver: async () => true,
    isInUse: async () => true,
    rebind: async () => Promise.reject(new Error('rebound')),
  };
  const namespaces = { tryRun: async () => ({ stdout: '', stderr: 'Device "net1" does not exist.', exitCode: 1, signal: undefined }) };
  const parts = { namespaces, functions: { pci, waitMs: 1_000 }, log: silentLog };
  await expect(returnFunctions(parts, record, { mayRebind: true }, AbortSignal.timeout(10_000))).rejects.toThrow(
    `interface net1 (virtual function ${pciAddress}) is still in a VM's hands`,
  );
});
