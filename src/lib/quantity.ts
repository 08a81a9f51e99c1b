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

/** Suffixes that a rate or an amount may have and that a number of bytes has not. */
const moreUnits: Readonly<Record<string, bigint>> = { ...units, E: 10n ** 18n, Ei: 2n ** 60n };

/**
 * Reads a Kubernetes quantity that is not negative and at least a whole number once rounded up, as `Quantity.Value()` does: fractions
 * (`1.5M`), exponents (`2e6`), thousandths (`500m`) and all suffixes. `undefined` when it is none, or longer than any sensible one.
 */
export function parseQuantity(text: string): bigint | undefined {
  const match = /^\+?([0-9]{0,18})(?:\.([0-9]{0,18}))?(?:([eE][+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i))?$/.exec(text);
  if (!match) return undefined;
  const [, whole = '', fraction = '', exponent = '', suffix = ''] = match;
  if (whole + fraction === '') return undefined;
  const power = Number(exponent.slice(1) || 0) - fraction.length - ({ n: 9, u: 6, m: 3 }[suffix] ?? 0);
  const amount = BigInt(whole + fraction) * (moreUnits[suffix] ?? 1n);
  if (power >= 0) return amount * 10n ** BigInt(power);
  const divisor = 10n ** BigInt(-power);
  return (amount + divisor - 1n) / divisor;
}
