/** A member of an archive to be made, honest or not. */
export interface TarEntry {
  readonly name: string;
  /** The type flag; default `0`, a regular file. */
  readonly type?: string;
  readonly content?: Uint8Array;
  /** What the header claims; default: the content's size. A string is written as it stands (`latin1`, 12 bytes at most). */
  readonly size?: number | string;
  readonly linkName?: string;
  /** `gnu` and `v7` have other magic numbers than POSIX. */
  readonly format?: 'ustar' | 'gnu' | 'v7';
  readonly prefix?: string;
  /** Added to the checksum. */
  readonly checksumOff?: number;
}

const blockBytes = 512;

/** The header block of an entry. */
export function tarHeader(entry: TarEntry): Buffer {
  const { name, type = '0', size = entry.content?.length ?? 0, linkName = '', format = 'ustar', prefix = '', checksumOff = 0 } = entry;
  const block = Buffer.alloc(blockBytes);
  block.write(name, 0, 100, 'latin1');
  block.write('0000644\0', 100, 'latin1');
  block.write('0000000\0', 108, 'latin1');
  block.write('0000000\0', 116, 'latin1');
  block.write(typeof size === 'string' ? size : `${size.toString(8).padStart(11, '0')}\0`, 124, 12, 'latin1');
  block.write('00000000000\0', 136, 'latin1');
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(type, 156, 1, 'latin1');
  block.write(linkName, 157, 100, 'latin1');
  if (format !== 'v7') block.write(format === 'gnu' ? 'ustar  \0' : 'ustar\0' + '00', 257, 'latin1');
  if (format === 'ustar') block.write(prefix, 345, 155, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, checksumOff);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** An entry's header, content and padding. */
export function tarMember(entry: TarEntry): Buffer {
  const content = entry.content ?? Buffer.alloc(0);
  return Buffer.concat([tarHeader(entry), content, Buffer.alloc((blockBytes - (content.length % blockBytes)) % blockBytes)]);
}

/** The end of an archive. */
export const tarEnd = Buffer.alloc(2 * blockBytes);

/** An archive of the entries; raw blocks stand as they are. */
export function tarOf(...entries: readonly (TarEntry | Buffer)[]): Buffer {
  return Buffer.concat([...entries.map((entry) => (Buffer.isBuffer(entry) ? entry : tarMember(entry))), tarEnd]);
}

/** A header's number in base 256 (GNU, star). */
export function base256(value: bigint): string {
  const bytes = Buffer.alloc(12, value < 0n ? 0xff : 0);
  bytes.writeBigInt64BE(value, 4);
  bytes[0] = (bytes[0] ?? 0) | 0x80;
  return bytes.toString('latin1');
}

/** A pax extended header (`x`), or a global one (`g`). */
export function paxEntry(records: Readonly<Record<string, string>>, type: 'x' | 'g' = 'x'): TarEntry {
  const lines = Object.entries(records).map(([keyword, value]) => paxRecord(keyword, value));
  return { name: 'PaxHeaders/x', type, content: Buffer.from(lines.join(''), 'latin1') };
}

function paxRecord(keyword: string, value: string): string {
  const rest = ` ${keyword}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

/** What a containerDisk's layer usually is. */
export function layerOf(disk: Uint8Array, name = 'disk/disk.qcow2'): Buffer {
  return tarOf({ name: 'disk/', type: '5' }, { name, content: disk });
}
