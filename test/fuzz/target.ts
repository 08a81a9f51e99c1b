/** Something that reads hostile bytes. */
export interface FuzzTarget {
  readonly name: string;
  /** Sound inputs to begin with; each a fresh copy that may be changed. */
  readonly seeds: readonly (() => Buffer)[];
  /** Reads an input. Throws `Refusal` or `PullProblem` for what it refuses; any other error, and an answer that breaks a promise, is a find. */
  readonly read: (bytes: Buffer) => unknown;
}
