/** A resource with several holders. */
export interface SharedDisposable {
  /** Becomes a holder; the resource is disposed of when the last one lets go. Letting go twice counts once. Not to be called after that. */
  readonly hold: () => Disposable;
}

/** Shares a resource that nobody holds yet. */
export function shareDisposable(resource: Disposable): SharedDisposable {
  let holders = 0;
  return {
    hold: () => {
      let isHeld = true;
      holders += 1;
      return {
        [Symbol.dispose]: () => {
          if (!isHeld) return;
          isHeld = false;
          holders -= 1;
          if (holders === 0) resource[Symbol.dispose]();
        },
      };
    },
  };
}
