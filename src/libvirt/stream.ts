import { Duplex } from 'node:stream';
import { LibvirtProtocolError } from './errors.ts';
import { messageStatus, streamChunkBytes } from './protocol.ts';
import { decodeRemoteError } from './remote-error.ts';

/** What a stream needs of its connection. */
export interface StreamPort {
  /** Sends a stream message; `sent` is called when the socket has taken it. */
  readonly send: (status: number, data: Buffer, sent: (error?: Error | null) => void) => void;
  /** Stops and goes on reading from the socket. */
  readonly pause: () => void;
  readonly resume: () => void;
  /** The stream is over; called once. */
  readonly ended: () => void;
}

/** One of libvirt's streams. */
export interface LibvirtStream {
  /** `end()` finishes the stream, for both directions; `destroy()` aborts it. */
  readonly duplex: Duplex;
  /** Takes a stream message; throws `LibvirtProtocolError` for one that makes no sense. */
  readonly receive: (status: number, payload: Buffer) => void;
}

/** A stream as a Duplex. Back-pressure is the socket's, so the connection must serve this stream alone. */
export function makeLibvirtStream(port: StreamPort): LibvirtStream {
  let finished = false;
  const duplex = new Duplex({
    allowHalfOpen: false,
    read: () => port.resume(),
    write: (chunk: Buffer, _encoding, done) => sendPieces(port, chunk, done),
    final(done) {
      if (finished) done();
      else port.send(messageStatus.ok, Buffer.alloc(0), done);
    },
    destroy(error, done) {
      port.ended();
      done(error);
    },
  });

  function endReading(): void {
    if (!duplex.readableEnded && !duplex.destroyed) duplex.push(null);
  }

  return {
    duplex,
    receive(status, payload) {
      if (duplex.destroyed) return;
      if (status === messageStatus.more && payload.length > 0) {
        if (!duplex.push(payload)) port.pause();
      } else if (status === messageStatus.more) {
        endReading();
      } else if (status === messageStatus.ok) {
        finished = true;
        endReading();
      } else if (status === messageStatus.error) {
        finished = true;
        duplex.destroy(payload.length > 0 ? decodeRemoteError(payload) : new Error('libvirtd aborted the stream'));
      } else {
        throw new LibvirtProtocolError(`stream message of the unknown status ${status}`);
      }
    },
  };
}

/** libvirt takes at most `streamChunkBytes` in a message. */
function sendPieces(port: StreamPort, data: Buffer, done: (error?: Error | null) => void): void {
  const piece = data.subarray(0, streamChunkBytes);
  const rest = data.subarray(streamChunkBytes);
  port.send(messageStatus.more, piece, (error) => {
    if (error || rest.length === 0) done(error);
    else sendPieces(port, rest, done);
  });
}
