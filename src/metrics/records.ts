import type { MetricsRegistry } from './registry.ts';

/** Told of the records on disk. */
export interface RecordMetrics {
  /** A record's file is read. */
  readonly onRead: () => void;
  /** From now on calls are served: the boot is over. */
  readonly serving: () => void;
}

/** Counts how often records are read from the disk, during the boot and after it. */
export function makeRecordMetrics(registry: MetricsRegistry): RecordMetrics {
  const reads = registry.counter({
    name: 'vmlet_record_reads_total',
    help: 'Files of records (sandboxes, VMs, images, networks) read from the disk. Phase boot: before the CRI socket was opened; phase serving: since then. Requests are answered from memory, so serving stays 0.',
    labels: ['phase'],
  });
  for (const phase of ['boot', 'serving']) reads.inc({ phase }, 0);
  let phase = 'boot';
  return {
    onRead: () => reads.inc({ phase }),
    serving: () => {
      phase = 'serving';
    },
  };
}
