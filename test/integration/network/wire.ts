import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

/** The far end of a tap, as a guest's network card has it: any frame, as bytes. */
export interface Wire {
  readonly send: (...frames: readonly Buffer[]) => void;
  /** All frames that have come so far. */
  readonly received: () => readonly Buffer[];
}

/**
 * Opens a tap, or makes one, in a network namespace, for the length of a test. Node opens neither taps nor packet sockets:
 * a QEMU without a machine hands frames over, each after its length in four bytes (qemu(1), `-netdev stream`).
 */
export async function openWire(tap: string, netns = '/proc/self/ns/net'): Promise<Wire> {
  const path = join(tempDir(), 'frames.sock');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const ends = [
    `tap,id=tap,ifname=${tap},script=no,downscript=no`,
    'hubport,id=hub-tap,hubid=0,netdev=tap',
    `stream,id=test,server=off,addr.type=unix,addr.path=${path}`,
    'hubport,id=hub-test,hubid=0,netdev=test',
  ];
  const args = ['-machine', 'none', '-nodefaults', '-no-user-config', '-display', 'none', ...ends.flatMap((end) => ['-netdev', end])];
  const qemu = spawn('nsenter', [`--net=${netns}`, 'qemu-system-x86_64', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  qemu.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  onTestFinished(async () => {
    server.close();
    if (qemu.exitCode === null && qemu.kill('SIGKILL')) await once(qemu, 'close');
  });
  let socket: Socket | undefined;
  server.once('connection', (connected) => (socket = connected));
  const opened = (): Socket | undefined => {
    if (qemu.exitCode !== null) throw new Error(`QEMU ended: ${said}`);
    return isOpen(tap, qemu.pid ?? 0) ? socket : undefined; // it connects first
  };
  socket = await waitFor(opened, { timeoutMs: 20_000, what: `QEMU at ${tap}` });
  return carry(socket);
}

/** True once a process has a tap: what it opened says so. */
function isOpen(tap: string, pid: number): boolean {
  const dir = `/proc/${pid}/fdinfo`;
  return readdirSync(dir).some((fd) => readFileSync(`${dir}/${fd}`, 'utf8').includes(`iff:\t${tap}\n`));
}

function carry(socket: Socket): Wire {
  const frames: Buffer[] = [];
  let rest = Buffer.alloc(0);
  socket.on('error', () => undefined); // QEMU is killed at the test's end
  socket.on('data', (bytes: Buffer) => {
    rest = Buffer.concat([rest, bytes]);
    for (;;) {
      const end = rest.length < 4 ? Infinity : 4 + rest.readUInt32BE(0);
      if (rest.length < end) return;
      frames.push(rest.subarray(4, end));
      rest = rest.subarray(end);
    }
  });
  return {
    send: (...sent) =>
      sent.forEach((frame) => {
        const length = Buffer.alloc(4);
        length.writeUInt32BE(frame.length);
        socket.write(Buffer.concat([length, frame]));
      }),
    received: () => frames,
  };
}

/** Frames by what they are. */
export type Frames = Readonly<Record<string, Buffer>>;

/**
 * Sends frames down a wire, and last one that must come out of the other: answers the names of those that have come before it. Frames keep
 * their order, and are the same at the other end, but for what fills short ones up.
 */
export async function crossing(from: Wire, to: Wire, frames: Frames, last: Buffer): Promise<readonly string[]> {
  const before = to.received().length;
  const has = (frame: Buffer): boolean =>
    to
      .received()
      .slice(before)
      .some((received) => received.subarray(0, frame.length).equals(frame));
  from.send(...Object.values(frames), last);
  await waitFor(() => has(last), { timeoutMs: 20_000, what: 'frame that nothing keeps back' });
  return Object.keys(frames).filter((name) => has(frames[name] ?? last));
}
