import type { PullProgress } from '../images/images.ts';
import type { Log } from '../lib/log.ts';

const everyMs = 3_000;

/** Logs how far downloads are, at most once in three seconds each. `now` in milliseconds. */
export function progressLog(log: Log, now: () => number = () => performance.now()): (progress: PullProgress) => void {
  const last = new Map<string, number>();
  return ({ reference, receivedBytes, totalBytes }) => {
    const ended = receivedBytes === totalBytes;
    if (!ended && now() - (last.get(reference) ?? -Infinity) < everyMs) return;
    for (const [each, at] of last) if (now() - at >= everyMs) last.delete(each); // a download that failed tells no end
    if (ended) last.delete(reference);
    else last.set(reference, now());
    log.info({ reference, receivedBytes, totalBytes }, 'pulling');
  };
}
