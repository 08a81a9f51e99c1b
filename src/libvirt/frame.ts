import { LibvirtProtocolError } from './errors.ts';
import { headerBytes, protocolVersion } from './protocol.ts';

/** The header of a message: which procedure of which program, what the message is, which call it belongs to. */
export interface FrameHeader {
  readonly program: number;
  readonly procedure: number;
  readonly type: number;
  /** Of the call; 0 in events and keepalive messages. */
  readonly serial: number;
  readonly status: number;
}

/** A received message. `payload` is a view on the received bytes. */
export interface Frame extends FrameHeader {
  readonly payload: Buffer;
}

/** Length word, header, payload. */
export function encodeFrame(header: FrameHeader, payload: Buffer): Buffer {
  const head = Buffer.alloc(headerBytes);
  const words = [
    headerBytes + payload.length,
    header.program,
    protocolVersion,
    header.procedure,
    header.type,
    header.serial,
    header.status,
  ];
  words.forEach((word, index) => head.writeUInt32BE(word, index * 4));
  return Buffer.concat([head, payload]);
}

/** Cuts a stream of bytes into frames, whatever the chunks it comes in; holds at most one incomplete frame. */
export interface FrameSplitter {
  /** The frames that `chunk` completes. Throws `LibvirtProtocolError` for what is no frame; the splitter is of no use after that. */
  readonly push: (chunk: Buffer) => Iterable<Frame>;
}

/** `maxBytes` bounds a frame with its length word; a longer one is refused as soon as its length is known. */
export function makeFrameSplitter(maxBytes: number): FrameSplitter {
  let pieces: Buffer[] = [];
  let have = 0;
  let wanted = 4;
  return {
    *push(chunk) {
      pieces.push(chunk);
      have += chunk.length;
      while (have >= wanted) {
        const bytes = pieces.length === 1 ? (pieces[0] ?? chunk) : Buffer.concat(pieces, have);
        const length = checkedLength(bytes, maxBytes);
        const complete = have >= length;
        const rest = complete ? bytes.subarray(length) : bytes;
        pieces = [rest];
        have = rest.length;
        wanted = complete ? 4 : length;
        if (complete) yield decodeFrame(bytes.subarray(0, length));
      }
    },
  };
}

function checkedLength(bytes: Buffer, maxBytes: number): number {
  const length = bytes.readUInt32BE(0);
  if (length < headerBytes) throw new LibvirtProtocolError(`frame of ${length} bytes; its header alone has ${headerBytes}`);
  if (length > maxBytes) throw new LibvirtProtocolError(`frame of ${length} bytes; at most ${maxBytes} are allowed`);
  return length;
}

function decodeFrame(bytes: Buffer): Frame {
  const word = (index: number): number => bytes.readUInt32BE(index * 4);
  if (word(2) !== protocolVersion)
    throw new LibvirtProtocolError(`frame of protocol version ${word(2)}; this client speaks ${protocolVersion}`);
  return { program: word(1), procedure: word(3), type: word(4), serial: word(5), status: word(6), payload: bytes.subarray(headerBytes) };
}
