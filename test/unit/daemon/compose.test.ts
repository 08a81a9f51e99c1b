import { describe, expect, it } from 'vitest';
import { overheadBytes } from '../../../src/daemon/overhead.ts';
import { progressLog } from '../../../src/daemon/progress-log.ts';
import { silentLog } from '../../../src/lib/log.ts';

describe('overheadBytes', () => {
  it('is what was configured, else by how VMs run, and the larger one while that is unknown', () => {
    expect(overheadBytes(5, 'kvm')).toBe(5);
    expect(overheadBytes('auto', 'kvm')).toBe(64 * 2 ** 20);
    expect(overheadBytes('auto', 'qemu')).toBe(96 * 2 ** 20);
    expect(overheadBytes('auto', undefined)).toBe(96 * 2 ** 20);
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
