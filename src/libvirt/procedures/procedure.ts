import { tuple } from '../codecs.ts';
import { program } from '../protocol.ts';
import type { Codec } from '../xdr.ts';

/** One remote procedure: its number in its program, and the layouts of its arguments and its result. */
export interface Procedure<A extends readonly unknown[], R> {
  readonly program: number;
  readonly number: number;
  /** How many arguments there are. */
  readonly arity: number;
  readonly args: Codec<A>;
  readonly result: Codec<R>;
}

/** A procedure of the remote program: number, one codec per argument, codec of the result. */
export function procedure<A extends readonly unknown[], R>(
  number: number,
  args: { readonly [K in keyof A]: Codec<A[K]> },
  result: Codec<R>,
): Procedure<A, R> {
  return { program: program.remote, number, arity: args.length, args: tuple<A>(...args), result };
}

/** The same for the QEMU program. */
export function qemuProcedure<A extends readonly unknown[], R>(
  number: number,
  args: { readonly [K in keyof A]: Codec<A[K]> },
  result: Codec<R>,
): Procedure<A, R> {
  return { ...procedure(number, args, result), program: program.qemu };
}

/** Sends one call and answers its result. */
export type Call = <A extends readonly unknown[], R>(target: Procedure<A, R>, args: A, signal?: AbortSignal) => Promise<R>;

/** A group of procedures as functions; each takes an AbortSignal last, which gives up waiting (libvirtd goes on with the call). */
export type Bound<G> = {
  readonly [K in keyof G]: G[K] extends Procedure<infer A, infer R> ? (...args: [...args: A, signal?: AbortSignal]) => Promise<R> : never;
};

/** Makes functions of a group of procedures. */
export function bind<G extends object>(group: G, call: Call): Bound<G> {
  const targets = Object.entries(group) as readonly (readonly [string, Procedure<readonly unknown[], unknown>])[];
  const bound = targets.map(([name, target]) => [
    name,
    (...args: readonly unknown[]) => call(target, args.slice(0, target.arity), args[target.arity] as AbortSignal | undefined),
  ]);
  return Object.fromEntries(bound) as Bound<G>;
}
