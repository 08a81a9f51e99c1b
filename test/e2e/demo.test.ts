import { spawn } from 'node:child_process';
import { chmodSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { tempDir } from '../lib/temp.ts';
import { waitFor } from '../lib/wait.ts';
import { processesWith } from '../node/processes.ts';

const root = join(import.meta.dirname, '..', '..');
const demoMs = 240_000;

interface Demo {
  readonly output: () => string;
  readonly interrupt: () => void;
  /** Waits for its end; throws with its output unless it ends with this exit code. */
  readonly endsWith: (exitCode: number) => Promise<void>;
}

/** A directory for demos, which must be empty at the end, as must be the list of processes that name it. */
function demoDir(): string {
  const dir = tempDir();
  chmodSync(dir, 0o711); // QEMU opens disks by path as an uid of its own
  return dir;
}

function startDemo(dir: string, ...args: readonly string[]): Demo {
  const env = { ...process.env, TMPDIR: dir };
  const child = spawn(process.execPath, [join(root, 'scripts', 'demo.ts'), ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', resolve);
  });
  onTestFinished(async () => {
    child.kill('SIGINT');
    await ended;
  }, demoMs);
  return {
    output: () => text,
    interrupt: () => void child.kill('SIGINT'),
    endsWith: async (exitCode) => {
      const code = await ended;
      if (code !== exitCode) throw new Error(`the demo ended with ${code}, not ${exitCode}:\n${text}`);
    },
  };
}

function leftIn(dir: string): unknown[] {
  return [...readdirSync(dir), ...processesWith([`${dir}/`])];
}

it(
  'shows the whole way, answers 0, and leaves nothing; without a terminal in plain lines',
  async () => {
    const dir = demoDir();
    const demo = startDemo(dir);
    await demo.endsWith(0);
    const text = demo.output();
    expect(text).not.toContain('\u001B');
    for (const part of [
      /pull .*MiB, checked and stored/,
      /console .*tiny: boot finished/,
      /http .*GET http:\/\/10\.88\.7\.\d+\/ -> 200 "tiny"/,
      /its IP is 10\.88\.7\.\d+/,
      /exit code 0, Completed/,
      /left nothing behind/,
    ]) {
      expect(text).toMatch(part);
    }
    expect(leftIn(dir)).toEqual([]);
  },
  demoMs,
);

it.each([
  ['the node starts', /starting a private libvirtd/],
  ['the guest boots', /start +container/],
])(
  'Ctrl-C while %s cleans up: exit code 130',
  async (_when, line) => {
    const dir = demoDir();
    const demo = startDemo(dir);
    await waitFor(() => line.test(demo.output()), { timeoutMs: demoMs, what: `${String(line)} in the output` });
    demo.interrupt();
    demo.interrupt(); // npm passes on what the terminal has sent already
    await demo.endsWith(130);
    expect(demo.output()).toContain('SIGINT: cleaning up');
    expect(leftIn(dir)).toEqual([]);
  },
  demoMs,
);

it(
  '--keep leaves it running and says how to reach it, --stop ends it',
  async () => {
    const dir = demoDir();
    onTestFinished(async () => {
      if (leftIn(dir).length > 0) await startDemo(dir, '--stop').endsWith(0);
    }, demoMs);
    const demo = startDemo(dir, '--keep');
    await demo.endsWith(0);
    const [name = ''] = readdirSync(dir);
    expect(demo.output()).toContain(`crictl --runtime-endpoint unix://${join(dir, name)}/vmlet.sock`);
    expect(processesWith([`${dir}/`]).some(({ command }) => command.includes('qemu-system'))).toBe(true);

    const stop = startDemo(dir, '--stop');
    await stop.endsWith(0);
    expect(stop.output()).toMatch(/exit code 0, Completed/);
    expect(leftIn(dir)).toEqual([]);
  },
  2 * demoMs,
);

it('refuses what it does not know, with its usage, and a --stop of nothing', async () => {
  const dir = demoDir();
  const unknown = startDemo(dir, '--frobnicate');
  await unknown.endsWith(2);
  expect(unknown.output()).toMatch(/frobnicate[\s\S]*npm run demo/);
  const stop = startDemo(dir, '--stop');
  await stop.endsWith(1);
  expect(stop.output()).toContain('no demo was left running');
});
