/**
 * The chunks of a generator that may be dropped at any time: one that was never asked for anything does not run its `finally`, and one that waits for
 * a chunk runs it only then, so `close` is called as well.
 */
export function closable(chunks: AsyncGenerator<Buffer>, close: () => void | Promise<void>): AsyncIterable<Buffer> {
  return {
    [Symbol.asyncIterator]: () => ({
      next: async () => chunks.next(),
      return: async () => {
        await close();
        return chunks.return(undefined);
      },
    }),
  };
}
