import { statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeVolumes } from '../../../src/volumes/volumes.ts';
import { tempDir } from '../../lib/temp.ts';

describe('the space of files', () => {
  it('is what is allocated, not how long they are; one that is not there counts for nothing', async () => {
    const dir = tempDir();
    const [sparse, full] = [join(dir, 'sparse'), join(dir, 'full')];
    writeFileSync(sparse, 'x');
    truncateSync(sparse, 2 ** 40);
    writeFileSync(full, Buffer.alloc(100_000, 1));
    const { usedBytes, inodesUsed } = await makeVolumes().usage(dir, [sparse, full, join(dir, 'absent')]);
    expect(usedBytes).toBe((statSync(sparse).blocks + statSync(full).blocks) * 512);
    expect(usedBytes).toBeGreaterThanOrEqual(100_000);
    expect(usedBytes).toBeLessThan(2 ** 20);
    expect(inodesUsed).toBe(2);
  });

  it('comes with its file system', async () => {
    const dir = tempDir();
    const { filesystem } = await makeVolumes().usage(dir, []);
    expect(filesystem.directory).toBe(dir);
    expect(filesystem.device).toMatch(/^(\/dev\/.+|[0-9]+:[0-9]+)$/);
    expect(filesystem.sizeBytes).toBeGreaterThan(2 ** 20);
    expect(filesystem.freeInodes).toBeLessThanOrEqual(filesystem.inodes);
  });

  it('cannot be told where there is no such directory', async () => {
    await expect(makeVolumes().usage('/nonexistent', [])).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
