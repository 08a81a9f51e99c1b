/** How far a download is. */
export interface PullProgress {
  /** As the first caller wrote it. */
  readonly reference: string;
  readonly receivedBytes: number;
  /** `undefined` when the server did not say. */
  readonly totalBytes: number | undefined;
}

const everyMs = 250;

/** Passes progress on at most four times a second, and the end always; `now` in milliseconds. */
export function throttleProgress(
  reference: string,
  listener: (progress: PullProgress) => void,
  now: () => number = () => performance.now(),
): (received: number, total: number | undefined) => void {
  let last = -Infinity;
  return (receivedBytes, totalBytes) => {
    const time = now();
    if (time - last < everyMs && receivedBytes !== totalBytes) return;
    last = time;
    listener({ reference, receivedBytes, totalBytes });
  };
}
