/** One VM's console on its way into a CRI log. */
export interface ConsoleLogRequest {
  readonly containerId: string;
  /** QEMU's log of the serial port; grows at its end, its consumed part is punched out. */
  readonly consoleFile: string;
  /** The CRI log, absolute; `undefined` discards the output (and still frees the console file). */
  readonly logFile: string | undefined;
  /** Where the position is kept so that a restart neither loses nor doubles a line. */
  readonly positionFile: string;
}

/** A console being followed. */
export interface ConsoleLog {
  /** Opens the CRI log anew at the same path, at a line boundary; answers when new lines go there and the old file is closed. */
  readonly reopen: (signal: AbortSignal) => Promise<void>;
  /** Writes all that the console file holds now (an unfinished last line included) and closes. Idempotent. */
  readonly finish: () => Promise<void>;
  /** Stops following at once, leaving the rest to a later `follow` with the same position file. Idempotent. */
  readonly pause: () => Promise<void>;
}

/** Follows console files. */
export interface Logs {
  /** Starts or takes up following. The CRI log exists (0640) when it answers. Errors: DISK_FULL; a missing console file is waited for. */
  readonly follow: (request: ConsoleLogRequest, signal: AbortSignal) => Promise<ConsoleLog>;
}
