import { randomBytes } from 'node:crypto';

/** A random id of 64 lowercase hexadecimal digits, the form that log shippers and the kubelet expect of CRI ids. */
export function randomId(): string {
  return randomBytes(32).toString('hex');
}

/** A version 4 UUID (RFC 9562) made from the first 128 bits of a 64-digit id, so that it can be derived again. */
export function uuidFromId(id: string): string {
  const bytes = Buffer.from(id.slice(0, 32), 'hex');
  if (bytes.length !== 16) throw new TypeError(`not a 64-digit id: ${id}`);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
