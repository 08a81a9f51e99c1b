import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { layoutFromMounts } from '../../../src/cgroup/hierarchies.ts';

const mounts = readFileSync('/proc/self/mounts', 'utf8');
/** The host's hierarchies. */
export const layout = layoutFromMounts(mounts) ?? { version: 1 as const, hierarchies: [] };
/** The mount table's line of a v2 hierarchy, alone or beside v1 ones. */
export const v2Line = mounts.split('\n').find((line) => line.split(' ')[2] === 'cgroup2');

/** A parent of the test's own, removed with what is left below it. */
export function parentGroup(): string {
  const name = `vmlet-test-${randomBytes(6).toString('hex')}`;
  onTestFinished(() => {
    for (const { dir } of layout.hierarchies) {
      for (const group of groupsBelow(join(dir, name)).toReversed()) rmdirSync(group);
    }
  });
  return `/${name}`;
}

/** A group's directory and those of all groups below it. */
export function groupsBelow(dir: string): readonly string[] {
  if (!existsSync(dir)) return [];
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
  return [dir, ...entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name))];
}

/** A process that waits for a line before it runs `then`. */
export async function waiting(then: string): Promise<{ child: ChildProcess; pid: number; go: () => void }> {
  const child = spawn('sh', ['-c', `read line; ${then}`], { stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  await once(child, 'spawn');
  return { child, pid: child.pid ?? 0, go: () => void child.stdin?.write('go\n') };
}
