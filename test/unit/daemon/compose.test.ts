import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/config.ts';
import { overheadBytes } from '../../../src/daemon/overhead.ts';
import { progressLog } from '../../../src/daemon/progress-log.ts';
import { reloadImages } from '../../../src/daemon/reload.ts';
import type { ClosableImages } from '../../../src/images/images.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { tempDir } from '../../lib/temp.ts';

describe('overheadBytes', () => {
  it('is what was configured, else by how VMs run, vCPUs and memory, and the larger one while it is unknown how', () => {
    expect(overheadBytes(5, 'kvm', { vcpus: 8, limitBytes: 2 ** 40 })).toBe(5);
    const auto = (accelerator: 'kvm' | 'qemu' | undefined, vcpus: number, limitMiB = 256): number =>
      overheadBytes('auto', accelerator, { vcpus, limitBytes: limitMiB * 2 ** 20 }) / 2 ** 20;
    expect([1, 2, 4].map((vcpus) => auto('kvm', vcpus))).toEqual([64, 72, 88]);
    expect([1, 2, 4].map((vcpus) => auto('qemu', vcpus))).toEqual([96, 128, 192]);
    expect([1, 2, 4].map((vcpus) => auto(undefined, vcpus))).toEqual([96, 128, 192]);
    expect([511, 512, 16_384].map((limitMiB) => auto('qemu', 1, limitMiB))).toEqual([96, 97, 128]);
  });
});

describe('reloadImages', () => {
  const told = async (mappingDir: string): Promise<{ readonly reloads: unknown[]; readonly said: string[] }> => {
    const [reloads, said]: [unknown[], string[]] = [[], []];
    const say = (_facts: object, message: string): void => void said.push(message);
    const images: Pick<ClosableImages, 'reload'> = { reload: async (sources) => void reloads.push(sources) };
    const config = defaultConfig();
    await reloadImages({ ...config, images: { ...config.images, mappingDir } }, images, { ...silentLog, info: say, warn: say, error: say });
    return { reloads, said };
  };

  it('takes the mapping files as they are now', async () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'a.yaml'), 'sources: [{ name: a, url: "https://a.example/a" }]');
    writeFileSync(join(dir, 'b.yaml'), 'sources: [{ name: a, url: "https://b.example/a" }]');
    const { reloads, said } = await told(dir);
    expect(reloads).toMatchObject([{ mappings: [{ from: 'images.sources' }, { sources: [{ name: 'a' }] }, { sources: [{ name: 'a' }] }] }]);
    expect(said).toEqual(['a name is mapped twice: the first mapping counts', 'image mappings read again']);
  });

  it('leaves all as it was when one cannot be used', async () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'a.yaml'), 'sources: [{ name: a, url: "ftp://a.example/a" }]');
    expect(await told(dir)).toEqual({ reloads: [], said: ['image mappings not read again: the old ones stay'] });
  });
});

describe('progressLog', () => {
  it('writes at most one line in three seconds a download, and its end always', () => {
    const lines: object[] = [];
    let now = 0;
    const tell = progressLog({ ...silentLog, info: (facts) => void lines.push(facts) }, () => now);
    for (; now <= 6_500; now += 500) tell({ reference: 'a', receivedBytes: now, totalBytes: 9_000 });
    tell({ reference: 'b', receivedBytes: 1, totalBytes: undefined });
    tell({ reference: 'a', receivedBytes: 9_000, totalBytes: 9_000 });
    expect(lines).toEqual([
      { reference: 'a', receivedBytes: 0, totalBytes: 9_000 },
      { reference: 'a', receivedBytes: 3_000, totalBytes: 9_000 },
      { reference: 'a', receivedBytes: 6_000, totalBytes: 9_000 },
      { reference: 'b', receivedBytes: 1, totalBytes: undefined },
      { reference: 'a', receivedBytes: 9_000, totalBytes: 9_000 },
    ]);
  });
});
