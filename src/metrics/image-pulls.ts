import { VmletError } from '../model/errors.ts';
import type { MetricsRegistry } from './registry.ts';

/** Told of pulls of images. */
export interface ImageMetrics {
  readonly onPullStarted: () => void;
  /** `error` is what the caller got; `undefined` for an image. */
  readonly onPullEnded: (error: unknown) => void;
  /** Bytes of a disk that have arrived. */
  readonly onBytes: (bytes: number) => void;
  /** By how much what downloads have yet to bring has changed. */
  readonly onPending: (bytes: number) => void;
  /** `rule`: why a disk was refused; `undefined` for one that passed. */
  readonly onInspected: (rule: string | undefined) => void;
}

/** Counts pulls of images. */
export function makeImageMetrics(registry: MetricsRegistry): ImageMetrics {
  const pulls = registry.counter({
    name: 'vmlet_image_pulls_total',
    help: 'Pulls that have ended, by result: ok, cancelled, the error’s code in lower case (pull_failed, image_refused, disk_full, invalid, ...), or internal.',
    labels: ['result'],
  });
  const bytes = registry.counter({
    name: 'vmlet_image_pull_bytes_total',
    help: 'Bytes of disks received from their sources, of failed pulls too.',
  });
  const pending = registry.gauge({
    name: 'vmlet_image_pull_pending_bytes',
    help: 'Bytes that downloads under way have yet to bring, where their size is known.',
  });
  const inspections = registry.counter({
    name: 'vmlet_image_inspections_total',
    help: 'Disks that were inspected before QEMU may open them, by result: accepted or refused.',
    labels: ['result'],
  });
  const inProgress = registry.gauge({
    name: 'vmlet_image_pulls_in_progress',
    help: 'Pulls under way; several of one image share a download.',
  });
  return {
    onPullStarted: () => inProgress.inc(),
    onPullEnded: (error) => {
      inProgress.dec();
      pulls.inc({ result: pullResult(error) });
    },
    onBytes: (received) => bytes.inc(received),
    onPending: (changed) => pending.inc(changed),
    onInspected: (rule) => inspections.inc({ result: rule === undefined ? 'accepted' : 'refused' }),
  };
}

/** The `result` label of a pull's error. */
export function pullResult(error: unknown): string {
  if (error === undefined) return 'ok';
  if (error instanceof VmletError) return error.facts.code.toLowerCase();
  const isCancelled = error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
  return isCancelled ? 'cancelled' : 'internal';
}
