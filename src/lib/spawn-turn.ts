let last: Promise<void> = Promise.resolve();

/**
 * Resolves when it is the caller's turn to start a process: one in each turn of the event loop. Starting one holds up the thread for some
 * milliseconds (the more memory the process has, the longer), and pods that are made at the same time would do it in one go.
 */
export async function spawnTurn(): Promise<void> {
  const mine = last;
  last = mine.then(
    async () =>
      new Promise((resolve) => {
        setImmediate(resolve);
      }),
  );
  return mine;
}
