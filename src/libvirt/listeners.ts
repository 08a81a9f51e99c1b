type Listening<E> = { readonly [N in keyof E]: (...args: never[]) => void };

/** Listeners by event name, called in the order of their arrival. */
export interface Listeners<E extends Listening<E>> {
  /** Answers the function that unsubscribes. */
  readonly on: <N extends keyof E>(name: N, listener: E[N]) => () => void;
  /** A listener that throws does not keep the others from being called; its error becomes an uncaught exception. */
  readonly emit: <N extends keyof E>(name: N, ...args: Parameters<E[N]>) => void;
}

/** No listeners yet. */
export function makeListeners<E extends Listening<E>>(): Listeners<E> {
  const all = new Set<{ readonly name: keyof E; readonly call: (...args: never[]) => void }>();
  return {
    on(name, listener) {
      const entry = { name, call: listener };
      all.add(entry);
      return () => void all.delete(entry);
    },
    emit(name, ...args) {
      for (const entry of all) {
        if (entry.name !== name) continue;
        try {
          (entry.call as (...given: readonly unknown[]) => void)(...args);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
  };
}
