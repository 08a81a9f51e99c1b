/** Milliseconds before attempt number `attempt` (from 0): doubles from `minMs` to `maxMs`; `random` (0 to 1) takes up to half of it away. */
export function backoffMs(attempt: number, bounds: { readonly minMs: number; readonly maxMs: number }, random: number): number {
  const full = Math.min(bounds.maxMs, bounds.minMs * 2 ** Math.min(attempt, 30));
  return full * (1 - random / 2);
}
