import { destination, pino } from 'pino';
import type { Log } from '../lib/log.ts';

/**
 * The daemon's log: JSON lines on stderr with RFC 3339 times. Written synchronously, so that the last line before a crash is there;
 * the daemon writes a handful of lines for each pod.
 */
export function makeLogger(level: 'error' | 'warn' | 'info' | 'debug'): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: (error: unknown) => (error instanceof Error ? error.message : error) },
    },
    destination({ fd: 2, sync: true }),
  );
}
