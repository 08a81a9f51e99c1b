import { readFile, readdir } from 'node:fs/promises';
import { runProgram } from '../../src/lib/run-program.ts';
import { podProcessesWith } from './processes.ts';

/** What of pods is on the machine beyond directories and names one of `texts`: one line for each thing, prefixed by its kind. */
export async function machineLines(texts: readonly string[]): Promise<string[]> {
  const [links, namespaces, mounts] = await Promise.all([
    runProgram('ip', ['-o', 'link', 'show'], { signal: AbortSignal.timeout(20_000) }),
    readdir('/run/netns').catch(() => []),
    readFile('/proc/self/mounts', 'utf8'),
  ]);
  const lines = [
    ...prefixed('link', links.stdout.split('\n')),
    ...prefixed('netns', namespaces),
    ...prefixed('mount', mounts.split('\n')),
  ].filter((line) => texts.some((text) => line.includes(text)));
  return [...lines, ...podProcessesWith(texts).map(({ pid, command }) => `process ${pid} ${command.slice(0, 300)}`)];
}

function prefixed(kind: string, lines: readonly string[]): string[] {
  return lines.filter((line) => line.trim() !== '').map((line) => `${kind} ${line.trim()}`);
}
