import { Refusal } from '../failures.ts';
import { parseTarHeader, tarBlockBytes, type TarHeader } from './tar-header.ts';
import { judgeMember, twoDisks } from './tar-member.ts';
import { parsePax, type TarOverrides } from './tar-pax.ts';
import { quoted } from '../quoted.ts';

/** What is found in a layer: the disk begins, then come its bytes, in pieces. */
export type TarEvent =
  | { readonly kind: 'disk'; readonly sizeBytes: number }
  /** Part of what was pushed, not a copy. */
  | { readonly kind: 'content'; readonly bytes: Uint8Array };

/** Reads a layer while it comes in. INVARIANTS: keeps at most one header or one extended header (64 KiB), never content; time is linear. */
export interface TarReader {
  /** Takes the archive's next bytes. Throws `Refusal`, and is then of no more use. */
  readonly push: (chunk: Uint8Array) => readonly TarEvent[];
  /** The archive has no more bytes. Throws `Refusal` `tar-truncated` if it is not complete. */
  readonly end: () => void;
}

/** Most headers of a layer: `./`, `disk/` and the disk, each with an extended header or two, need nine. */
const maxHeaders = 64;
const maxDescriptionBytes = 65_536;
/** Programs fill the last record, of 10 KiB by default. */
const maxTrailerBytes = 2 ** 20;

type Phase = 'block' | 'description' | 'content' | 'padding' | 'trailer';

/** Makes the reader of one layer; `maxDiskBytes` is judged by the header. */
export function makeTarReader({ maxDiskBytes }: { readonly maxDiskBytes: number }): TarReader {
  let phase: Phase = 'block';
  /** Bytes that the phase still needs, and those that are kept of it. */
  let left = tarBlockBytes;
  let kept = new Uint8Array(tarBlockBytes);
  let paddingBytes = 0;
  let headers = 0;
  let zeroBlocks = 0;
  let trailerBytes = 0;
  let described: TarHeader | undefined;
  let overrides: TarOverrides = {};
  let disk: string | undefined;

  function begin(next: Phase, bytes: number): void {
    phase = next;
    left = bytes;
    if (next === 'block' || next === 'description') kept = new Uint8Array(bytes);
    if (bytes === 0) finishPhase();
  }

  /** What comes after the phase that has all its bytes; `undefined` or the event that this is. */
  function finishPhase(): TarEvent | undefined {
    if (phase === 'block') return onBlock(parseTarHeader(kept));
    if (phase === 'description') describe();
    if (phase === 'padding' || paddingBytes === 0) begin('block', tarBlockBytes);
    else begin('padding', paddingBytes);
    return undefined;
  }

  function onBlock(header: TarHeader | undefined): TarEvent | undefined {
    if (header === undefined) return onZeroBlock();
    if (zeroBlocks > 0) throw malformed('a block of zeros stands between its members');
    headers += 1;
    if (headers > maxHeaders)
      throw new Refusal('tar-members', `the layer has more than ${maxHeaders} members; a containerDisk's has one file`);
    if (header.kind === 'pax' || header.kind === 'pax-global' || header.kind === 'long-name' || header.kind === 'long-link') {
      if (header.sizeBytes > maxDescriptionBytes) throw malformed(`${header.says} has more than ${maxDescriptionBytes} bytes`);
      described = header;
      paddingBytes = paddingOf(header.sizeBytes);
      begin('description', header.sizeBytes);
      return undefined;
    }
    return onMember({ ...header, ...overrides });
  }

  function onMember(member: TarHeader): TarEvent | undefined {
    overrides = {};
    paddingBytes = paddingOf(member.sizeBytes);
    if (judgeMember(member) === 'directory') {
      begin('block', tarBlockBytes);
      return undefined;
    }
    if (disk !== undefined) throw twoDisks(disk, member.name);
    if (member.sizeBytes > maxDiskBytes) {
      throw new Refusal('disk-size', `the layer's disk has ${member.sizeBytes} bytes, images.maxBytes allows ${maxDiskBytes}`);
    }
    disk = member.name;
    begin('content', member.sizeBytes);
    return { kind: 'disk', sizeBytes: member.sizeBytes };
  }

  function describe(): void {
    if (described?.kind === 'pax') overrides = { ...overrides, ...parsePax(kept, 'member') };
    else if (described?.kind === 'pax-global') parsePax(kept, 'global');
    else if (described?.kind === 'long-name') overrides = { name: longName(kept), ...overrides };
    described = undefined;
  }

  function onZeroBlock(): undefined {
    if (Object.keys(overrides).length > 0) throw malformed('it ends after an extended header');
    zeroBlocks += 1;
    if (zeroBlocks === 2) phase = 'trailer';
    else begin('block', tarBlockBytes);
  }

  function onTrailer(bytes: Uint8Array): void {
    trailerBytes += bytes.length;
    if (trailerBytes > maxTrailerBytes || bytes.some((byte) => byte !== 0)) {
      throw new Refusal('tar-trailer', "the layer's tar archive is followed by other bytes");
    }
  }

  function push(chunk: Uint8Array): readonly TarEvent[] {
    const events: TarEvent[] = [];
    for (let rest = chunk; rest.length > 0;) {
      if (phase === 'trailer') {
        onTrailer(rest);
        break;
      }
      const part = rest.subarray(0, left);
      rest = rest.subarray(part.length);
      if (phase === 'content') events.push({ kind: 'content', bytes: part });
      else if (phase !== 'padding') kept.set(part, kept.length - left);
      left -= part.length;
      const event = left === 0 ? finishPhase() : undefined;
      if (event) events.push(event);
    }
    return events;
  }

  function end(): void {
    if (phase === 'trailer') return;
    const where = disk === undefined ? '' : ` after the beginning of ${quoted(disk)}`;
    throw new Refusal('tar-truncated', `the layer's tar archive is cut off${where}: its end marker, two blocks of zeros, is missing`);
  }

  return { push, end };
}

function paddingOf(sizeBytes: number): number {
  return (tarBlockBytes - (sizeBytes % tarBlockBytes)) % tarBlockBytes;
}

/** GNU's way: the name, ended by NUL. */
function longName(payload: Uint8Array): string {
  const end = payload.indexOf(0);
  const name = Buffer.from(end === -1 ? payload : payload.subarray(0, end)).toString('latin1');
  if (name === '') throw malformed('a long name is empty');
  return name;
}

function malformed(says: string): Refusal {
  return new Refusal('tar-header', `the layer's tar archive is malformed: ${says}`);
}
