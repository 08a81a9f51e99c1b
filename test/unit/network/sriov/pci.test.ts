import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makePci, type Pci } from '../../../../src/network/sriov/pci.ts';
import { recogniseFunctions } from '../../../../src/network/sriov/recognition.ts';
import { card, makeSysfs, type Sysfs } from '../../../lib/sysfs.ts';
import { tempDir } from '../../../lib/temp.ts';

const recorded = readFileSync(join(import.meta.dirname, '..', '..', '..', 'fixtures', 'network', 'physical-function.json'), 'utf8');
const signal = AbortSignal.timeout(30_000);
const [first, second] = card.functions;

function makeNode(): { sysfs: Sysfs; pci: Pci; vfioDir: string } {
  const dir = tempDir();
  const sysfs = makeSysfs(join(dir, 'sys'));
  const vfioDir = join(dir, 'vfio');
  mkdirSync(vfioDir);
  return { sysfs, vfioDir, pci: makePci({ sysfsDir: sysfs.dir, vfioDir }) };
}

describe('a PCI device', () => {
  it('that is a virtual function is known by its links', async () => {
    const { pci } = makeNode();
    expect(await pci.device(second)).toEqual({
      address: second,
      driver: 'iavf',
      interfaces: [],
      physical: { address: card.physical, interfaces: [card.interface], index: 1 },
      iommuGroup: { number: '43', others: [] },
    });
  });

  it('that is a physical function is none', async () => {
    const { pci } = makeNode();
    const found = await pci.device(card.physical);
    expect(found).toMatchObject({ driver: 'ice', interfaces: [card.interface] });
    expect(found).not.toHaveProperty('physical');
  });

  it('may be gone, without a driver, without an IOMMU, or one of a group', async () => {
    const { pci, sysfs } = makeNode();
    sysfs.bind(first, undefined);
    sysfs.group(first, '42');
    sysfs.group(card.physical, '42');
    expect(await pci.device(first)).toMatchObject({
      driver: undefined,
      iommuGroup: { number: '42', others: [{ address: card.physical, driver: 'ice' }] },
    });
    sysfs.group(first, undefined);
    expect(await pci.device(first)).not.toHaveProperty('iommuGroup');
    sysfs.remove(first);
    expect(await pci.device(first)).toBeUndefined();
  });

  it('whose physical function denies it is an error', async () => {
    const { pci, sysfs } = makeNode();
    sysfs.remove(card.physical);
    await expect(pci.device(first)).rejects.toThrow(`${first} names ${card.physical} as its physical function, which does not know it`);
  });

  it('goes from vfio-pci to the driver that the kernel finds', async () => {
    const { pci, sysfs } = makeNode();
    sysfs.bind(first, 'vfio-pci');
    const device = await pci.device(first);
    if (!device) throw new Error('no device');
    await pci.rebind(device);
    const written = (...parts: readonly string[]): string => readFileSync(join(sysfs.dir, 'bus', 'pci', ...parts), 'utf8');
    expect([
      written('devices', first, 'driver_override'),
      written('drivers', 'vfio-pci', 'unbind'),
      written('drivers_probe'),
      written('drivers', 'iavf', 'unbind'),
    ]).toEqual(['\n', first, first, '']);
  });

  it('is free when nobody has its group open', async () => {
    const { pci, vfioDir } = makeNode();
    const device = await pci.device(first);
    if (!device) throw new Error('no device');
    expect(await pci.isInUse(device)).toBe(false);
    writeFileSync(join(vfioDir, '42'), '');
    expect(await pci.isInUse(device)).toBe(false);
    const { iommuGroup: _group, ...alone } = device;
    expect(await pci.isInUse(alone)).toBe(false);
  });
});

describe('virtual functions among the interfaces of a pod', () => {
  const inPod = [
    { name: 'eth0' },
    { name: 'net1', pciAddress: second },
    { name: 'net2', pciAddress: card.physical },
    { name: 'net3', pciAddress: '0000:00:1f.6' },
  ];

  it('are those whose devices are, with their VLANs', async () => {
    const { pci } = makeNode();
    const asked: string[] = [];
    const showLink = async (name: string): Promise<string> => {
      asked.push(name);
      return recorded;
    };
    expect(await recogniseFunctions({ pci, showLink }, inPod, signal)).toEqual(new Map([['net1', { pciAddress: second, vlan: 100 }]]));
    expect(asked).toEqual([card.interface]);
  });

  it('may share a group with one another', async () => {
    const { pci, sysfs } = makeNode();
    for (const address of card.functions) sysfs.group(address, '50');
    const both = [...inPod, { name: 'net4', pciAddress: first }];
    const deps = { pci, showLink: async () => recorded };
    expect([...(await recogniseFunctions(deps, both, signal)).keys()]).toEqual(['net1', 'net4']);
    await expect(recogniseFunctions(deps, inPod, signal)).rejects.toThrow(`its IOMMU group 50 also has ${first} (iavf)`);
  });

  it('are not looked for in a pod without devices', async () => {
    const { pci } = makeNode();
    const showLink = async (): Promise<string> => Promise.reject(new Error('asked'));
    expect(await recogniseFunctions({ pci, showLink }, [{ name: 'eth0' }], signal)).toEqual(new Map());
  });
});
