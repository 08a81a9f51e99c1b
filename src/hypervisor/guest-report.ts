import type { GuestReport } from '../model/container.ts';

/** Name of the virtio-serial port, `/dev/virtio-ports/dev.vmlet.exit.0` in the guest. */
export const reportPortName = 'dev.vmlet.exit.0';

/** What a kubelet reads of a termination message (4 KiB), and a line's number before it. */
const maxLineBytes = 4_096 + 8;

/** Reads reports from a guest's bytes, which come in any pieces. */
export interface ReportReader {
  /** Answers the last whole report in these bytes, if there is one. */
  readonly push: (bytes: Buffer) => GuestReport | undefined;
}

/**
 * A report is a line: the exit code (0 to 255) and, after a space, a message. Other lines mean nothing. A message beyond 4 KiB is cut; no
 * more than a line is kept, whatever the guest writes.
 */
export function makeReportReader(): ReportReader {
  let line: Buffer = Buffer.alloc(0);
  return {
    push: (bytes) => {
      let last: GuestReport | undefined;
      let from = 0;
      for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, from)) {
        last = parseReport(joined(line, bytes.subarray(from, end)).toString('utf8')) ?? last;
        line = Buffer.alloc(0);
        from = end + 1;
      }
      line = joined(line, bytes.subarray(from));
      return last;
    },
  };
}

/** The report that a line is; `undefined` for none. */
export function parseReport(line: string): GuestReport | undefined {
  const [, digits, message = ''] = /^([0-9]{1,3})(?: (.*?))?\r?$/s.exec(line) ?? [];
  const exitCode = Number(digits);
  return digits !== undefined && exitCode <= 255 ? { exitCode, message } : undefined;
}

function joined(line: Buffer, more: Buffer): Buffer {
  const room = maxLineBytes - line.length;
  return room > 0 ? Buffer.concat([line, more.subarray(0, room)]) : line;
}
