import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { encodeFrame, makeFrameSplitter, type Frame } from '../../src/libvirt/frame.ts';
import { libvirtMaxFrameBytes } from '../../src/libvirt/protocol.ts';
import { tempDir } from './temp.ts';

/** A call and its answer, as hex without serials; `reply` is empty when none came. */
export interface Exchange {
  readonly request: string;
  reply: string;
}

/** What went over one connection. */
export interface Recording {
  readonly exchanges: Exchange[];
  readonly events: string[];
}

/** A socket in front of libvirtd's that notes all frames; one recording for each connection, in their order. */
export async function startTap(socketPath: string): Promise<{ socketPath: string; recordings: readonly Recording[] }> {
  const path = join(tempDir(), 'tap');
  const recordings: Recording[] = [];
  const sockets: Socket[] = [];
  const server = createServer((client) => {
    const recording: Recording = { exchanges: [], events: [] };
    const bySerial = new Map<number, Exchange>();
    recordings.push(recording);
    const libvirtd = connect(socketPath);
    sockets.push(client, libvirtd);
    tee(client, libvirtd, (frame) => {
      const exchange = { request: hex(frame), reply: '' };
      if (frame.type !== 0) return;
      bySerial.set(frame.serial, exchange);
      recording.exchanges.push(exchange);
    });
    tee(libvirtd, client, (frame) => {
      const exchange = bySerial.get(frame.serial);
      if (frame.type === 1 && exchange !== undefined) exchange.reply = hex(frame);
      else if (frame.type === 2 && frame.program === 0x20008086) recording.events.push(hex(frame));
    });
  });
  server.listen(path);
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { socketPath: path, recordings };
}

function tee(from: Socket, to: Socket, note: (frame: Frame) => void): void {
  const splitter = makeFrameSplitter(libvirtMaxFrameBytes);
  from.on('data', (chunk) => {
    for (const frame of splitter.push(chunk)) note(frame);
    to.write(chunk);
  });
  from.on('error', () => {});
  from.on('close', () => to.destroy());
}

function hex(frame: Frame): string {
  return encodeFrame({ ...frame, serial: 0 }, frame.payload).toString('hex');
}
