import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { cpuTime } from './cpu-time.ts';
import { tempDir } from './temp.ts';
import { waitFor } from './wait.ts';

/** A QEMU that a test started by hand, without libvirt. It is killed when the test ends. */
export interface Qemu {
  /** All that came out of the serial port so far. */
  readonly console: () => string;
  /** Answers once the console shows a text; throws with the console's end after the deadline. */
  readonly waitForText: (text: string | RegExp, timeoutMs: number) => Promise<void>;
  /** Answers QEMU's exit status once it has ended. */
  readonly ended: (timeoutMs: number) => Promise<number | null>;
  /** A QMP connection, with capabilities negotiated. */
  readonly qmp: () => Promise<JsonLines>;
  /** CPU time that QEMU has used so far, in milliseconds, to the nearest 10. */
  readonly cpuMs: () => number;
}

/** A socket that carries one JSON object a line, as QMP and the guest agent do. */
export interface JsonLines {
  /** Sends an object and answers the next one that is a reply (`return` or `error`). */
  readonly ask: (message: object, timeoutMs: number) => Promise<Record<string, unknown>>;
  /** Sends an object and does not wait. */
  readonly send: (message: object) => void;
  /** Names of the events seen so far. */
  readonly events: () => readonly string[];
}

/** Starts QEMU under TCG on a q35 machine without default devices; `args` adds disks and the rest. The serial port is the test's. */
export async function startQemu(args: readonly string[]): Promise<Qemu> {
  const dir = tempDir();
  const qmpSocket = join(dir, 'qmp.sock');
  const fixed = ['-machine', 'q35', '-accel', 'tcg', '-nodefaults', '-display', 'none', '-no-user-config'];
  const sockets = ['-serial', 'stdio', '-qmp', `unix:${qmpSocket},server=on,wait=off`];
  const child = spawn('qemu-system-x86_64', [...fixed, ...sockets, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('latin1').on('data', (chunk: string) => (output += chunk));
  child.stderr.setEncoding('latin1').on('data', (chunk: string) => (errors += chunk));
  let status: number | null | undefined;
  child.once('close', (code) => (status = code));
  onTestFinished(async () => {
    if (status !== undefined) return;
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  await once(child, 'spawn');

  return {
    console: () => output,
    cpuMs: () => cpuTime(child.pid ?? 0).own,
    waitForText: async (text, timeoutMs) => {
      const shown = (): boolean => (typeof text === 'string' ? output.includes(text) : text.test(output));
      await waitFor(
        () => {
          if (shown()) return true;
          throw new Error(
            `QEMU ${status === undefined ? 'runs' : 'has ended'}; console: ${output.slice(-1_500)}; errors: ${errors.slice(-500)}`,
          );
        },
        { timeoutMs, what: `console text ${String(text)}` },
      );
    },
    ended: async (timeoutMs) => {
      const answer = await waitFor(() => (status === undefined ? undefined : { status }), { timeoutMs, what: 'end of QEMU' });
      return answer.status;
    },
    qmp: async () => {
      const lines = await connectJsonLines(qmpSocket);
      await lines.ask({ execute: 'qmp_capabilities' }, 10_000);
      return lines;
    },
  };
}

/** Connects to a unix socket that speaks JSON lines; waits for the socket to appear. */
export async function connectJsonLines(path: string): Promise<JsonLines> {
  const socket = await waitFor(() => connect(path), { timeoutMs: 10_000, what: `socket ${path}` });
  onTestFinished(() => void socket.destroy());
  const replies: Record<string, unknown>[] = [];
  const events: string[] = [];
  let partial = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (partial + chunk).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines.filter((each) => each.trim() !== '')) {
      const message = JSON.parse(line) as Record<string, unknown>;
      if (typeof message['event'] === 'string') events.push(message['event']);
      else if ('return' in message || 'error' in message) replies.push(message);
    }
  });
  socket.on('error', () => undefined); // QEMU ends while we are connected: what the test waits for tells
  const send = (message: object): void => void socket.write(`${JSON.stringify(message)}\n`);
  return {
    send,
    events: () => events,
    ask: async (message, timeoutMs) => {
      replies.length = 0;
      send(message);
      return waitFor(() => replies.shift(), { timeoutMs, what: `answer to ${JSON.stringify(message)}` });
    },
  };
}

async function connect(path: string): Promise<Socket> {
  const socket = createConnection(path);
  await once(socket, 'connect');
  return socket;
}
