import { readFile } from 'node:fs/promises';

/** One entry of a CRI log file. */
export interface LogEntry {
  /** RFC 3339 with nanoseconds. */
  readonly time: string;
  readonly stream: 'stdout' | 'stderr';
  /** False for a part of a line that the next entry continues. */
  readonly full: boolean;
  readonly text: string;
}

const pattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP])(?::[^ ]*)? ([\s\S]*)$/;

/**
 * Reads CRI log lines strictly: where a kubelet would skip a line or stop, this throws with the line. `text` may lack the last line's
 * end: it is then being written, and left out.
 */
export function parseLog(text: string): LogEntry[] {
  const lines = text.split('\n');
  lines.pop();
  return lines.map((line, index) => {
    const match = pattern.exec(line);
    if (!match) throw new Error(`line ${index + 1} of the log is no CRI log line: ${JSON.stringify(line.slice(0, 200))}`);
    const [, time = '', stream, tag, content = ''] = match;
    return { time, stream: stream === 'stderr' ? 'stderr' : 'stdout', full: tag === 'F', text: content };
  });
}

/** The lines that the container printed, parts joined; a last part without its end counts as a line. */
export function joinLines(entries: readonly LogEntry[]): string[] {
  const lines: string[] = [];
  let part = '';
  for (const { full, text } of entries) {
    part += text;
    if (!full) continue;
    lines.push(part);
    part = '';
  }
  return part === '' ? lines : [...lines, part];
}

/** The lines of a container's log file; none while the file is absent. Throws for what is no CRI log. */
export async function readLog(logPath: string): Promise<string[]> {
  try {
    return joinLines(parseLog(await readFile(logPath, 'utf8')));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
