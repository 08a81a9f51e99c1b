import { readFileSync, writeFileSync } from 'node:fs';

const mebibyte = 2 ** 20;

/** Begins to watch a process's memory; answers how far its peak rose above what it had now, MiB. */
export function watchPeak(pid: number): () => number {
  const before = fieldOf(pid, 'VmRSS');
  writeFileSync(`/proc/${pid}/clear_refs`, '5'); // proc(5): resets the peak to what is resident now
  return () => Math.max(0, fieldOf(pid, 'VmHWM') - before) / mebibyte;
}

function fieldOf(pid: number, name: string): number {
  const kibibytes = new RegExp(`^${name}:\\s+([0-9]+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kibibytes === undefined) throw new Error(`/proc/${pid}/status has no ${name}`);
  return Number(kibibytes) * 1024;
}
