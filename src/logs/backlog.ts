/** Where a console stands, all in bytes. */
export interface Backlog {
  /** What is in the log. */
  readonly offset: number;
  /** The console file's size. */
  readonly size: number;
  readonly maxBytes: number;
}

/**
 * Where to go on when too much waits, roughly (a line's start is looked for behind it); `undefined` when all of it may wait. A quarter
 * more than necessary goes, so that a guest that writes faster than it is read costs few notices.
 */
export function cutTarget({ offset, size, maxBytes }: Backlog): number | undefined {
  if (size - offset <= maxBytes) return undefined;
  return size - (maxBytes - Math.floor(maxBytes / 4));
}

/** Bytes around a cut's target in which a line's start is looked for. */
export const lineSearchBytes = 65_536;

/** Bytes from `target` to the next start of a line, given the console from `target - 1` on; 0 where the search finds none. */
export function bytesToLineStart(beforeTarget: Buffer): number {
  const end = beforeTarget.indexOf(10);
  return end === -1 ? 0 : end;
}

/** What stands in the log where console output was left out. */
export function cutNotice(cutBytes: number): string {
  return `vmlet: ${cutBytes} bytes of console output are left out here, more had piled up than may wait for the log`;
}
