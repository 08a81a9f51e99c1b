import { connect, type Socket } from 'node:net';
import { isErrno } from '../lib/errno.ts';
import type { GuestReport } from '../model/container.ts';
import { makeReportReader } from './guest-report.ts';

/** A guest's reports being listened to. */
export interface GuestReports {
  /** Resolves when QEMU has closed the port, or after `timeoutMs`: everything that the guest wrote has been heard then. */
  readonly heard: (timeoutMs: number) => Promise<void>;
  /** Stops listening; the port waits for whoever comes next. Idempotent. */
  readonly close: () => void;
}

/** Pause before the next attempt: short after a connection, doubling while there is nobody. */
const retryMs = { min: 250, max: 10_000 } as const;

/**
 * Connects to a VM's report port and listens, again and again while nobody closes it: what a guest writes while nobody is connected
 * stays in the guest, which waits. The listener hears the newest report of each piece that arrives.
 */
export function followReports(socketPath: string, listener: (report: GuestReport) => void): GuestReports {
  const over = Promise.withResolvers<void>();
  let socket: Socket | undefined;
  let retry: NodeJS.Timeout | undefined;
  let isClosed = false;
  let pauseMs: number = retryMs.min;

  function open(): void {
    const reader = makeReportReader();
    let wasConnected = false;
    socket = connect(socketPath);
    socket.unref();
    socket.on('connect', () => (wasConnected = true));
    socket.on('data', (bytes) => {
      const report = reader.push(bytes);
      if (report) listener(report);
    });
    socket.on('error', (error) => {
      if (isErrno(error, 'ENOENT', 'ECONNREFUSED')) over.resolve(); // there is no VM behind it
    });
    socket.on('close', () => {
      if (wasConnected) over.resolve();
      pauseMs = wasConnected ? retryMs.min : Math.min(2 * pauseMs, retryMs.max);
      if (!isClosed) retry = setTimeout(open, pauseMs).unref();
    });
  }

  open();
  return {
    heard: async (timeoutMs) => {
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, timeoutMs);
      await Promise.race([over.promise, late.promise]);
      clearTimeout(timer);
    },
    close: () => {
      isClosed = true;
      clearTimeout(retry);
      socket?.destroy();
      over.resolve();
    },
  };
}
