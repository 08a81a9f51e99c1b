import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { LibvirtConnectionLostError, LibvirtProtocolError, LibvirtUnavailableError } from './errors.ts';
import { eventCodec, type DomainEvent } from './events.ts';
import { encodeFrame, makeFrameSplitter, type Frame, type FrameHeader } from './frame.ts';
import { makeKeepalive, type Keepalive, type KeepaliveOptions } from './keepalive.ts';
import { makePendingCalls, type CallOptions, type Delivery } from './pending-calls.ts';
import type { Procedure } from './procedures/procedure.ts';
import { headerBytes, keepaliveProcedure, messageStatus, messageType, program } from './protocol.ts';
import { decodeRemoteError } from './remote-error.ts';
import { makeLibvirtStream, type LibvirtStream } from './stream.ts';
import { decodeXdr, encodeXdr, XdrError } from './xdr.ts';

/** One connection to libvirtd, from connected socket to its end; it never comes back. */
export interface Connection {
  readonly call: <A extends readonly unknown[], R>(target: Procedure<A, R>, args: A, options: CallOptions) => Promise<R>;
  /** Calls a procedure that opens a stream. When the stream ends, so does the connection. */
  readonly openStream: <A extends readonly unknown[]>(target: Procedure<A, void>, args: A, options: CallOptions) => Promise<Duplex>;
  readonly startKeepalive: (options: KeepaliveOptions) => void;
  /** Ends the connection now: what waits fails with `LibvirtConnectionLostError`, whose cause is `reason`. */
  readonly end: (reason: Error) => void;
  /** Resolves, with the reason, when the connection has ended; never rejects. */
  readonly ended: Promise<LibvirtConnectionLostError>;
}

/** Bounds and listeners of a connection. */
export interface ConnectionOptions {
  readonly maxMessageBytes: number;
  readonly onEvent: (event: DomainEvent) => void;
}

/**
 * Speaks libvirt's RPC protocol on a connected socket, which it owns from now on. Invariants: nothing that is received can throw out of
 * here; every call settles: by its answer, deadline, signal, or the connection's end.
 */
export function makeConnection(socket: Socket, options: ConnectionOptions): Connection {
  const pending = makePendingCalls();
  const streams = new Map<number, LibvirtStream>();
  const splitter = makeFrameSplitter(options.maxMessageBytes);
  const { promise: ended, resolve: tellEnded } = Promise.withResolvers<LibvirtConnectionLostError>();
  let lost: LibvirtConnectionLostError | undefined;
  let socketError: Error | undefined;
  let keepalive: Keepalive | undefined;

  socket.on('data', receive);
  socket.on('error', (error) => {
    socketError = error;
  });
  socket.on('close', () => end(socketError ?? new Error('libvirtd closed it')));

  function receive(chunk: Buffer): void {
    keepalive?.heard();
    try {
      for (const frame of splitter.push(chunk)) {
        if (lost !== undefined) return;
        dispatch(frame);
      }
    } catch (error) {
      end(error instanceof XdrError ? new LibvirtProtocolError(`malformed message: ${error.message}`, { cause: error }) : asError(error));
    }
  }

  function dispatch(frame: Frame): void {
    if (frame.program === program.keepalive) answerKeepalive(frame);
    else if (frame.program !== program.remote && frame.program !== program.qemu) throw unexpected(frame);
    else if (frame.type === messageType.reply) takeReply(frame);
    else if (frame.type === messageType.event) takeEvent(frame);
    else if (frame.type === messageType.stream) takeStreamMessage(frame);
    else throw unexpected(frame);
  }

  function answerKeepalive(frame: Frame): void {
    if (frame.procedure === keepaliveProcedure.ping) sendKeepalive(keepaliveProcedure.pong);
    else if (frame.procedure !== keepaliveProcedure.pong) throw unexpected(frame);
  }

  function takeReply(frame: Frame): void {
    let delivery: Delivery = 'unknown';
    if (frame.status === messageStatus.ok) delivery = pending.deliver(frame, frame.payload);
    else if (frame.status === messageStatus.error) delivery = pending.reject(frame, decodeRemoteError(frame.payload));
    if (delivery === 'unknown') throw unexpected(frame);
  }

  function takeStreamMessage(frame: Frame): void {
    const stream = streams.get(frame.serial);
    if (stream === undefined) throw unexpected(frame);
    stream.receive(frame.status, frame.payload);
  }

  /** Events that this client has no name for were asked for by nobody; they pass unseen. */
  function takeEvent(frame: Frame): void {
    const codec = frame.program === program.remote ? eventCodec(frame.procedure) : undefined;
    if (codec !== undefined) options.onEvent(decodeXdr(codec, frame.payload));
  }

  function sendKeepalive(procedure: number): void {
    const header = { program: program.keepalive, procedure, type: messageType.event, serial: 0, status: messageStatus.ok };
    socket.write(encodeFrame(header, Buffer.alloc(0)));
  }

  function end(reason: Error): void {
    if (lost !== undefined) return;
    lost = asLost(reason);
    keepalive?.stop();
    socket.destroy();
    pending.rejectAll(lost);
    for (const stream of streams.values()) stream.duplex.destroy(lost);
    tellEnded(lost);
  }

  async function send<A extends readonly unknown[], R, S>(
    target: Procedure<A, R>,
    args: A,
    callOptions: CallOptions,
    decode: (payload: Buffer, serial: number) => S,
  ): Promise<S> {
    callOptions.signal?.throwIfAborted();
    if (lost !== undefined) throw new LibvirtUnavailableError('not connected to libvirtd', { cause: lost });
    const payload = encodeXdr(target.args, args, options.maxMessageBytes - headerBytes);
    const address = { program: target.program, procedure: target.number };
    const { serial, result } = pending.start(address, callOptions, decode);
    socket.write(encodeFrame({ ...address, type: messageType.call, serial, status: messageStatus.ok }, payload));
    return result;
  }

  function openedStream(header: FrameHeader): Duplex {
    const stream = makeLibvirtStream({
      send: (status, data, sent) => void socket.write(encodeFrame({ ...header, status }, data), sent),
      pause: () => void socket.pause(),
      resume: () => void socket.resume(),
      ended: () => end(new Error('its stream ended')),
    });
    streams.set(header.serial, stream);
    return stream.duplex;
  }

  return {
    call: (target, args, callOptions) => send(target, args, callOptions, (payload) => decodeXdr(target.result, payload)),
    openStream: (target, args, callOptions) =>
      send(target, args, callOptions, (payload, serial) => {
        decodeXdr(target.result, payload);
        return openedStream({
          program: target.program,
          procedure: target.number,
          type: messageType.stream,
          serial,
          status: messageStatus.more,
        });
      }),
    startKeepalive(keepaliveOptions) {
      keepalive = makeKeepalive(
        keepaliveOptions,
        () => sendKeepalive(keepaliveProcedure.ping),
        () => end(new Error(`no sign of life from libvirtd for ${keepaliveOptions.count} pings`)),
      );
    },
    end,
    ended,
  };
}

function unexpected({ program: from, procedure, type, serial, status }: FrameHeader): LibvirtProtocolError {
  return new LibvirtProtocolError(
    `unexpected message: program 0x${from.toString(16)}, procedure ${procedure}, type ${type}, serial ${serial}, status ${status}`,
  );
}

/** The reason may itself be the loss of another connection, which took this one with it. */
function asLost(reason: Error): LibvirtConnectionLostError {
  if (reason instanceof LibvirtConnectionLostError) return reason;
  return new LibvirtConnectionLostError(`connection to libvirtd lost: ${reason.message}`, { cause: reason });
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
