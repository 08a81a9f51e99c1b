import { invalid } from '../model/errors.ts';

/** An int64 or uint64 of a message as a number. Throws INVALID beyond 2^53 - 1, where numbers stop being exact. */
export function toNumber(field: string, value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw invalid(field, `${value} is out of range; at most ${Number.MAX_SAFE_INTEGER} either side of 0`);
  return number;
}

/** A port number; 0 where `zero` says that it has a meaning. Throws INVALID. */
export function requirePort(field: string, value: number, zero: boolean): number {
  if (value < (zero ? 0 : 1) || value > 65_535) throw invalid(field, `${value} must be a port, ${zero ? 0 : 1} to 65535`);
  return value;
}

/** The present as CRI tells times: Unix time in nanoseconds. */
export function nowNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
