import { z } from 'zod';
import { parseBytes } from '../../src/lib/quantity.ts';

/** A CPU quantity (`2`, `0.5`, `250m`) as thousandths of a CPU, rounded up as Kubernetes does. */
export const milliCpu = z.union([z.number(), z.string()]).transform((value, context): number => {
  const match = /^([0-9]+(?:\.[0-9]{1,6})?)(m?)$/.exec(String(value));
  if (match) return Math.ceil(Number(match[1]) * (match[2] === 'm' ? 1 : 1000));
  context.addIssue('must be CPUs like 2, 0.5 or 250m');
  return z.NEVER;
});

/** A quantity of bytes (`512Mi`). */
export const quantityBytes = z.union([z.number(), z.string()]).transform((value, context): number => {
  const parsed = parseBytes(String(value));
  if (parsed !== undefined) return parsed;
  context.addIssue('must be bytes like 512Mi or 1073741824');
  return z.NEVER;
});
