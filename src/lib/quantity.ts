const units: Readonly<Record<string, bigint>> = {
  '': 1n,
  k: 10n ** 3n,
  M: 10n ** 6n,
  G: 10n ** 9n,
  T: 10n ** 12n,
  P: 10n ** 15n,
  Ki: 2n ** 10n,
  Mi: 2n ** 20n,
  Gi: 2n ** 30n,
  Ti: 2n ** 40n,
  Pi: 2n ** 50n,
};

/**
 * Reads a Kubernetes quantity of bytes (`10Gi`, `500M`, `1073741824`); `undefined` when it is none, has a fraction, or is over 2^53-1.
 * Source: Kubernetes' resource.Quantity, without fractions and exponents, which make no sense for bytes.
 */
export function parseBytes(text: string): number | undefined {
  const match = /^([0-9]{1,16})(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$/.exec(text);
  if (!match) return undefined;
  const bytes = BigInt(match[1] ?? '') * (units[match[2] ?? ''] ?? 1n);
  return bytes <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(bytes) : undefined;
}
