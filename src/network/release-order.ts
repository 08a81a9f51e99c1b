/** A network that is due to be tried again. */
export interface DueRelease {
  readonly sandboxId: string;
  /** How often it has failed. */
  readonly failures: number;
}

/** Plugins of so many sandboxes run at a time, beside those of calls. */
const atOnce = 4;
/** The other places are for networks that have failed once at most: many whose plugins hang would else keep all of them busy. */
const atOnceAgain = 3;

/**
 * Which network is tried next: the one that has failed least, then the one that has been due longest; none as long as there is no place for
 * it, or an earlier try of it still runs. `running` maps those that are being tried to their failures.
 */
export function nextRelease<T extends DueRelease>(due: readonly T[], running: ReadonlyMap<string, number>): T | undefined {
  const isAgain = (failures: number): boolean => failures > 1;
  const again = [...running.values()].filter(isAgain).length;
  if (running.size >= atOnce) return undefined;
  const may = due.filter(({ sandboxId, failures }) => !running.has(sandboxId) && (!isAgain(failures) || again < atOnceAgain));
  return may.toSorted((a, b) => a.failures - b.failures)[0];
}
