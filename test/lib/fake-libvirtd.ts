import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { int, list } from '../../src/libvirt/codecs.ts';
import { encodeFrame, makeFrameSplitter, type Frame, type FrameHeader } from '../../src/libvirt/frame.ts';
import { libvirtMaxFrameBytes, messageStatus, messageType, program } from '../../src/libvirt/protocol.ts';
import { encodeXdr, type Codec } from '../../src/libvirt/xdr.ts';
import { tempDir } from './temp.ts';

/** Answers a frame of a client by writing to its socket; `false` leaves it to the fake's own answers. */
type Handler = (frame: Frame, socket: Socket) => boolean | void;

/** A server that speaks libvirt's frames and does what a test tells it, also what libvirtd never would. */
export interface FakeLibvirtd {
  readonly socketPath: string;
  /** All frames that came, over all connections. */
  readonly received: readonly Frame[];
  /** Connections that are open. */
  readonly sockets: ReadonlySet<Socket>;
  /** Sets what is asked first about each frame. */
  readonly handle: (handler: Handler) => void;
  readonly listen: () => Promise<void>;
  /** Drops all connections and the socket. */
  readonly down: () => Promise<void>;
}

/** Not listening yet; gone when the running test ends. */
export function makeFakeLibvirtd(): FakeLibvirtd {
  const socketPath = join(tempDir(), 'sock');
  const received: Frame[] = [];
  const sockets = new Set<Socket>();
  let handler: Handler = () => false;
  let registrations = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    const splitter = makeFrameSplitter(libvirtMaxFrameBytes);
    socket.on('data', (chunk) => {
      for (const frame of splitter.push(chunk)) {
        received.push(frame);
        if (handler(frame, socket) !== true) answer(frame, socket);
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });

  function answer(frame: Frame, socket: Socket): void {
    if (frame.program !== program.remote || frame.type !== messageType.call) return;
    if (frame.procedure === 66) socket.write(reply(frame, list(int), [0]));
    else if (frame.procedure === 60) socket.write(reply(frame, int, 1));
    else if (frame.procedure === 1 || frame.procedure === 2) socket.write(replyBytes(frame, ''));
    else if (frame.procedure === 316) socket.write(reply(frame, int, (registrations += 1)));
  }

  async function down(): Promise<void> {
    for (const socket of sockets) socket.destroy();
    if (!server.listening) return;
    server.close();
    await once(server, 'close');
  }
  onTestFinished(down);
  return {
    socketPath,
    received,
    sockets,
    handle(next) {
      handler = next;
    },
    async listen() {
      server.listen(socketPath);
      await once(server, 'listening');
    },
    down,
  };
}

/** A good reply with a value. */
export function reply<T>(call: FrameHeader, codec: Codec<T>, value: T): Buffer {
  return encodeFrame({ ...call, type: messageType.reply, status: messageStatus.ok }, encodeXdr(codec, value, libvirtMaxFrameBytes));
}

/** A reply with whatever payload (hex) and status. */
export function replyBytes(call: FrameHeader, hex: string, status: number = messageStatus.ok): Buffer {
  return encodeFrame({ ...call, type: messageType.reply, status }, Buffer.from(hex, 'hex'));
}
