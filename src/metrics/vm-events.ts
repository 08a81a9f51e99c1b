import type { MetricsRegistry } from './registry.ts';

/** Told of what libvirt reports of VMs. */
export interface VmEventMetrics {
  /** `heard`: somebody listened to it. */
  readonly onVmEvent: (kind: string, heard: boolean) => void;
}

/** Counts events of VMs. */
export function makeVmEventMetrics(registry: MetricsRegistry): VmEventMetrics {
  const events = registry.counter({
    name: 'vmlet_vm_events_total',
    help: 'Events of VMs that libvirt has told, by kind: started, paused, resumed, rebooted, stopped.',
    labels: ['kind'],
  });
  const dropped = registry.counter({
    name: 'vmlet_vm_events_dropped_total',
    help: 'Events of VMs that nobody listened to. They come before recovery begins, which compares all VMs; later it stays as it is.',
  });
  return {
    onVmEvent: (kind, heard) => {
      events.inc({ kind });
      if (!heard) dropped.inc();
    },
  };
}
