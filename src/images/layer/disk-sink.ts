import { Refusal } from '../failures.ts';
import { createDiskFile, type DiskFile } from './disk-file.ts';
import type { Digested } from './follower.ts';
import { makeTarReader } from './tar-reader.ts';

/** Where unpacked bytes go. */
export interface Sink {
  /** The chunk may change afterwards. Throws `Refusal` or the system's error. */
  readonly write: (chunk: Buffer) => Promise<void>;
  /** All bytes are there: answers the disk. */
  readonly finish: (blob: Digested) => Promise<Digested | undefined>;
  /** Leaves no disk. */
  readonly discard: () => Promise<void>;
}

interface SinkOptions {
  readonly diskFile: string;
  readonly maxDiskBytes: number;
}

/** The blob is the disk. */
export function makeBareSink(maxDiskBytes: number): Sink {
  let bytes = 0;
  return {
    write: async ({ length }) => {
      bytes += length;
      if (bytes > maxDiskBytes)
        throw new Refusal('disk-size', `the disk has more than the ${maxDiskBytes} bytes that images.maxBytes allows`);
    },
    finish: async (blob) => blob,
    discard: async () => undefined,
  };
}

/** What was unpacked is the disk. */
export function makeDiskSink({ diskFile, maxDiskBytes, isUnpacked }: SinkOptions & { readonly isUnpacked: boolean }): Sink {
  let file: DiskFile | undefined;
  return {
    write: async (chunk) => {
      if (file === undefined && isUnpacked) refusePackedTwice(chunk);
      file ??= await createDiskFile(diskFile, maxDiskBytes);
      await file.write(chunk);
    },
    finish: async () => (file ??= await createDiskFile(diskFile, maxDiskBytes)).finish(),
    discard: async () => file?.discard(),
  };
}

/** The disk is in a layer, or not. */
export function makeLayerSink({ diskFile, maxDiskBytes }: SinkOptions): Sink {
  const reader = makeTarReader({ maxDiskBytes });
  let file: DiskFile | undefined;
  return {
    write: async (chunk) => {
      for (const event of reader.push(chunk)) {
        if (event.kind === 'disk') file = await createDiskFile(diskFile, maxDiskBytes);
        else await file?.write(event.bytes);
      }
    },
    finish: async () => {
      reader.end();
      return file?.finish();
    },
    discard: async () => file?.discard(),
  };
}

const magics = { gzip: [0x1f, 0x8b, 0x08], zstd: [0x28, 0xb5, 0x2f, 0xfd], xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] } as const;

/** No disk begins so, but what somebody packed twice does; as a raw disk it would start no guest and nobody would know why. */
function refusePackedTwice(beginning: Buffer): void {
  for (const [name, magic] of Object.entries(magics)) {
    if (magic.every((byte, at) => beginning[at] === byte)) {
      throw new Refusal('compression', `the disk is packed twice: ${name} is inside; pack it once`);
    }
  }
}
