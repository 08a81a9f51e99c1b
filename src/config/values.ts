import { isIP } from 'node:net';
import { z } from 'zod';
import { parseBytes } from '../lib/quantity.ts';

/** Longest path of a socket of ours: Linux allows 107 bytes, and names are appended in places. */
export const maxSocketPathBytes = 100;

/** An absolute, normal path. */
export const path = z.string().regex(/^\/(?!.*(^|\/)\.\.?(\/|$))[^\0]*$/, 'must be an absolute path without "." and ".." parts');

/** An absolute path that a unix socket can have. */
export const socketPath = path.refine(
  (value) => Buffer.byteLength(value) <= maxSocketPathBytes,
  `must be at most ${maxSocketPathBytes} bytes: it is a unix socket`,
);

/** Bytes, as a number or a Kubernetes quantity (`512Mi`). */
export const bytes = z.union([z.int().min(0), z.string()]).transform((value, context): number => {
  const parsed = typeof value === 'number' ? value : parseBytes(value);
  if (parsed !== undefined) return parsed;
  context.addIssue('must be bytes as a whole number or a quantity like 512Mi or 10Gi');
  return z.NEVER;
});

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A duration: milliseconds as a number, or text like `500ms`, `30s`, `5m`. At least 1 ms, at most 24 h. */
export const durationMs = z.union([z.int(), z.string()]).transform((value, context): number => {
  const match = /^([0-9]{1,9})(ms|s|m|h)$/.exec(String(value));
  const parsed = typeof value === 'number' ? value : Number(match?.[1] ?? Number.NaN) * (durationUnits[match?.[2] ?? ''] ?? Number.NaN);
  if (parsed >= 1 && parsed <= 86_400_000) return parsed;
  context.addIssue('must be a duration like 500ms, 30s or 5m (1ms to 24h)');
  return z.NEVER;
});

/** An IP address without brackets, and a TCP port (0: any free one). */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `ADDRESS:PORT` or `off`; `undefined` for anything else. The address is a number, IPv6 in brackets: a name may mean another address
 * tomorrow, and to be reached from elsewhere must be asked for (`0.0.0.0:PORT`).
 */
export function parseListen(text: string): ListenAddress | 'off' | undefined {
  if (text === 'off') return 'off';
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(text);
  const [, inBrackets, plain, digits] = match ?? [];
  const host = inBrackets ?? plain ?? '';
  const port = Number(digits);
  return isIP(host) === (inBrackets === undefined ? 4 : 6) && port <= 65_535 ? { host, port } : undefined;
}

/** As `parseListen` reads it. */
export const listenAddress = z
  .string()
  .refine((value) => parseListen(value) !== undefined, 'must be ADDRESS:PORT with an IP address (0.0.0.0:9471, [::1]:9471), or off');
