/** Writes one event: facts as fields, then a constant message (`log.info({ sandboxId }, 'sandbox ready')`). */
export type LogWrite = (facts: object, message: string) => void;

/** The part of a pino logger that the rooms use. Levels: error = someone must act; warn = degraded, went on; info = life cycle. */
export interface Log {
  readonly error: LogWrite;
  readonly warn: LogWrite;
  readonly info: LogWrite;
  readonly debug: LogWrite;
  /** A log with `bindings` added to every event. */
  readonly child: (bindings: object) => Log;
}

/** A log that writes nothing, for tests and programs without one. */
export const silentLog: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => silentLog,
};
