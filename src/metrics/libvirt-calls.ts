import type { MetricsRegistry } from './registry.ts';

/** Told of the connection to libvirtd and of the calls over it. */
export interface LibvirtMetrics {
  readonly onLibvirtCallStarted: () => void;
  readonly onLibvirtCall: (report: { readonly group: string; readonly outcome: string; readonly seconds: number }) => void;
  readonly onLibvirtConnected: (facts: { readonly again: boolean }) => void;
  readonly onLibvirtDisconnected: () => void;
  readonly onLibvirtdStarted: () => void;
}

/** From a lookup (1 ms) to the client's own deadline of a call (30 s), and the longer ones of agent and define. */
const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Counts what is said to libvirtd. `isReading`: whether a list or status call of the CRI is being answered at this moment. */
export function makeLibvirtMetrics(registry: MetricsRegistry, isReading: () => boolean): LibvirtMetrics {
  const calls = registry.counter({
    name: 'vmlet_libvirt_calls_total',
    help: 'Calls to libvirtd, by group of procedures and outcome: ok, refused (libvirtd answered with an error), timeout, disconnected (no connection, or lost), aborted (the caller gave up), invalid (could not be sent).',
    labels: ['group', 'outcome'],
  });
  const duration = registry.histogram(
    {
      name: 'vmlet_libvirt_call_duration_seconds',
      help: 'Time from a call to libvirtd to its answer or failure, by group of procedures.',
      labels: ['group'],
    },
    secondsBuckets,
  );
  const duringReads = registry.counter({
    name: 'vmlet_libvirt_calls_during_reads_total',
    help: 'Calls to libvirtd that began between the arrival of a list or status call of the CRI and its answer. These answer from memory, so it stays 0; calls of others that fall into that moment count too, so 0 proves it.',
  });
  const connected = registry.gauge({ name: 'vmlet_libvirt_connected', help: '1 while vmlet is connected to libvirtd, else 0.' });
  const reconnects = registry.counter({
    name: 'vmlet_libvirt_reconnects_total',
    help: 'Connections to libvirtd after the first one. Events may have been missed before each; VMs and records were compared after it.',
  });
  const starts = registry.counter({
    name: 'vmlet_libvirtd_starts_total',
    help: 'Starts of vmlet’s own libvirtd by this daemon; 0 when it found one running.',
  });

  return {
    onLibvirtCallStarted: () => {
      if (isReading()) duringReads.inc();
    },
    onLibvirtCall: ({ group, outcome, seconds }) => {
      calls.inc({ group, outcome });
      duration.observe({ group }, seconds);
    },
    onLibvirtConnected: ({ again }) => {
      connected.set(1);
      if (again) reconnects.inc();
    },
    onLibvirtDisconnected: () => connected.set(0),
    onLibvirtdStarted: () => starts.inc(),
  };
}
