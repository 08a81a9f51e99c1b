/** What a command finds around it: the process's own in `src/ctl.ts`. */
export interface CtlContext {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly isRoot: boolean;
  /** Where large files may lie for the time of a command. */
  readonly tempDir: string;
  /** Aborted when the user has had enough. */
  readonly signal: AbortSignal;
}

/** Exit codes of all commands. */
export const exitCodes = { done: 0, refused: 1, misused: 2 } as const;
