/** A source of pieces of which the rest of one can be given back, and the next fetched while one is worked on. */
export interface Unreadable {
  /** `undefined` at the end. */
  readonly take: () => Promise<Buffer | undefined>;
  /** Begins to fetch the next; its failure is told by `take`. */
  readonly prefetch: () => void;
  readonly unread: (rest: Buffer) => void;
  /** Whether there is more. */
  readonly peek: () => Promise<boolean>;
  /** Bytes that came from the source. */
  readonly takenBytes: () => number;
}

/** Makes it of pieces that stay as they are until the next but one is asked for. */
export function makeUnreadable(pieces: AsyncGenerator<Buffer, undefined>): Unreadable {
  let back: Buffer | undefined;
  let ahead: Promise<Buffer | undefined> | undefined;
  let taken = 0;

  async function next(): Promise<Buffer | undefined> {
    const { value } = await pieces.next();
    taken += value?.length ?? 0;
    return value;
  }

  async function take(): Promise<Buffer | undefined> {
    const piece = back ?? (await (ahead ?? next()));
    if (back === undefined) ahead = undefined;
    back = undefined;
    return piece;
  }

  const unread = (rest: Buffer): void => void (back = rest.length > 0 ? rest : undefined);

  return {
    take,
    unread,
    prefetch: () => {
      if (ahead !== undefined) return;
      ahead = next();
      ahead.catch(() => undefined); // told by take
    },
    peek: async () => {
      const piece = await take();
      if (piece !== undefined) unread(piece);
      return piece !== undefined;
    },
    takenBytes: () => taken,
  };
}
