import { create, toJson } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { containerStatsToProto, sandboxStatsToProto } from '../../../src/cri/stats-answer.ts';
import { ContainerStatsSchema, PodSandboxStatsSchema } from '../../../src/gen/runtime/v1/api_pb.js';
import type { ContainerSample, ContainerStatistics, MemoryUse } from '../../../src/model/statistics.ts';
import { containerOf, fileUsage, leafUsage, nicCounters, sandboxOf } from '../pods/samples.ts';

const atNs = 1_790_000_000_123_456_789n;
const sample: ContainerSample = { atNs, usage: leafUsage, files: fileUsage };
const container = containerOf({ state: 'RUNNING' });
const sandbox = sandboxOf({});
const timestamp = '1790000000123456789';

const psi = (first: number): unknown => ({
  Some: { Avg10: first + 0.1, Avg60: first + 0.2, Avg300: first + 0.3, Total: `${first}000000000` },
  Full: { Avg10: first + 0.4, Avg60: first + 0.5, Avg300: first + 0.6, Total: `${first * 2}000000000` },
});
const cpu = { timestamp, usageCoreNanoSeconds: { value: '12345678901' }, psi: psi(1) };
const memory = {
  timestamp,
  workingSetBytes: { value: '90000000' },
  availableBytes: { value: '44217728' },
  usageBytes: { value: '100000000' },
  rssBytes: { value: '70000000' },
  pageFaults: { value: '31000' },
  majorPageFaults: { value: '17' },
  psi: psi(2),
};
const attributes = { id: container.id, metadata: { name: 'vm' } };
const leafMemory = leafUsage.memory as MemoryUse;
const io = { timestamp, psi: psi(3) };

const containerJson = (statistics: ContainerStatistics): unknown =>
  toJson(ContainerStatsSchema, create(ContainerStatsSchema, containerStatsToProto(statistics)));
const sandboxJson = (statistics: Parameters<typeof sandboxStatsToProto>[0]): unknown =>
  toJson(PodSandboxStatsSchema, create(PodSandboxStatsSchema, sandboxStatsToProto(statistics)));

describe('a container’s statistics', () => {
  it('say all that was measured, and no rate: a kubelet derives it', () => {
    expect(containerJson({ container, sample })).toEqual({
      attributes,
      cpu,
      memory,
      io,
      swap: { timestamp, swapUsageBytes: { value: '4096' } },
      writableLayer: {
        timestamp,
        fsId: { mountpoint: '/var/lib/vmlet/vms' },
        usedBytes: { value: '8388608' },
        inodesUsed: { value: '2' },
      },
    });
  });

  it('have attributes with metadata even when nothing was measured', () => {
    expect(containerJson({ container })).toEqual({ attributes });
  });

  it('carry labels and annotations as they came', () => {
    const { config } = container;
    const labelled = { ...container, config: { ...config, attempt: 3, labels: { a: 'b' }, annotations: { c: 'd' } } };
    expect(containerJson({ container: labelled })).toEqual({
      attributes: { id: container.id, metadata: { name: 'vm', attempt: 3 }, labels: { a: 'b' }, annotations: { c: 'd' } },
    });
  });

  it('have no available memory without a limit, and none below 0', () => {
    const { limitBytes: _limit, ...unlimited } = leafMemory;
    const of = (use: typeof unlimited): unknown =>
      containerJson({ container, sample: { ...sample, usage: { ...leafUsage, memory: use } } });
    expect(of(unlimited)).not.toHaveProperty('memory.availableBytes');
    const over = { ...unlimited, limitBytes: unlimited.workingSetBytes - 1 };
    expect(of(over)).toHaveProperty('memory.availableBytes', {});
  });
});

describe('a sandbox’s statistics', () => {
  const usage = { cpu: { ...leafUsage.cpu, usageNs: 20_000_000_000n, userNs: 0n, systemNs: 0n } };

  it('are those of the pod’s own group, of its interface, and of its containers', () => {
    const statistics = { sandbox, sample: { atNs, usage, nics: [nicCounters] }, containers: [{ container, sample }] };
    expect(sandboxJson(statistics)).toEqual({
      attributes: {
        id: sandbox.id,
        metadata: { name: 'pod', namespace: 'default', uid: sandbox.config.metadata.uid },
        labels: { app: 'x' },
      },
      linux: {
        cpu: { ...cpu, usageCoreNanoSeconds: { value: '20000000000' } },
        network: {
          timestamp,
          defaultInterface: {
            name: 'eth0',
            rxBytes: { value: '1001' },
            rxErrors: { value: '1' },
            txBytes: { value: '2002' },
            txErrors: { value: '3' },
          },
        },
        process: { timestamp, processCount: { value: '2' } },
        containers: [containerJson({ container, sample })],
      },
    });
  });

  it('are the VM’s where the pod has no group of its own', () => {
    const answer = sandboxJson({ sandbox, sample: { atNs }, containers: [{ container, sample }] });
    expect(answer).toMatchObject({ linux: { cpu, memory, io } });
    expect(answer).not.toHaveProperty('linux.network');
  });

  it('always have linux, which a kubelet takes for granted', () => {
    expect(sandboxJson({ sandbox, containers: [] })).toMatchObject({ linux: {} });
    expect(sandboxJson({ sandbox, sample: { atNs, nics: [] }, containers: [{ container }] })).toEqual(
      expect.objectContaining({ linux: { process: { timestamp, processCount: {} }, containers: [{ attributes }] } }),
    );
  });
});
