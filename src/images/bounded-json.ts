const mostParts = 20_000;
const [brace, bracket, comma] = [0x7b, 0x5b, 0x2c];

/**
 * Parses JSON that a stranger wrote; `undefined` for what is none, or has more than 20 000 parts. INVARIANT: a few megabytes of `{},{},{}` would
 * keep the event loop busy for half a second; so many parts take about 10 ms, and manifests have some hundred.
 */
export function parseBoundedJson(bytes: Buffer): unknown {
  if (bytes.length > mostParts && countParts(bytes) > mostParts) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function countParts(bytes: Buffer): number {
  let parts = 0;
  for (let at = 0; at < bytes.length && parts <= mostParts; at += 1) {
    const byte = bytes[at];
    if (byte === brace || byte === bracket || byte === comma) parts += 1;
  }
  return parts;
}
