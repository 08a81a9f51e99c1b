import { Refusal } from '../failures.ts';

const endOfExtensions = 0;
const featureNameTable = 0x6803f857;
const featureNameBytes = 48;
const maxExtensions = 64;

/** Extensions that make a disk depend on something else, or QEMU work for what a base image has no use for. */
const refused: ReadonlyMap<number, { readonly rule: string; readonly says: string }> = new Map([
  [0xe2792aca, { rule: 'backing-file', says: 'it names the format of a backing file' }],
  [0x44415441, { rule: 'data-file', says: 'its data is in another file; join them with qemu-img convert -O qcow2' }],
  [0x0537be77, { rule: 'encryption', says: 'it is encrypted; publish it decrypted' }],
  [0x23852875, { rule: 'bitmaps', says: 'it has persistent bitmaps; drop them with qemu-img convert -O qcow2' }],
]);

/**
 * Walks the header extensions, which fill `area` from its beginning to an end marker: type and length (big-endian, 32 bits each), data padded
 * to 8 bytes. Unknown ones are allowed by the format and tolerated when well-formed. Throws `Refusal`. Source: QEMU's docs/interop/qcow2.txt.
 */
export function walkExtensions(area: Uint8Array): void {
  const view = new DataView(area.buffer, area.byteOffset, area.byteLength);
  let at = 0;
  for (let count = 0; count <= maxExtensions; count += 1) {
    if (at + 8 > area.length) throw malformed('there is no end of the header extensions');
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (type === endOfExtensions) return;
    const found = refused.get(type);
    if (found) throw new Refusal(found.rule, `qcow2: ${found.says}`);
    if (length > area.length - at - 8) throw malformed('a header extension is longer than its cluster');
    if (type === featureNameTable && length % featureNameBytes !== 0) throw malformed('the feature name table has an impossible length');
    at += 8 + Math.ceil(length / 8) * 8;
  }
  throw malformed(`there are more than ${maxExtensions} header extensions`);
}

function malformed(says: string): Refusal {
  return new Refusal('header-extension', `qcow2: ${says}`);
}
