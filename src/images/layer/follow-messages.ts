import { PullProblem, Refusal, type PullProblemKind } from '../failures.ts';
import type { Followed } from './follower.ts';

/** What a follower's thread is told. */
export type FollowOrder =
  | { readonly kind: 'advance'; readonly bytes: number }
  | { readonly kind: 'finish'; readonly totalBytes: number }
  /** Nobody wants the result any more. */
  | { readonly kind: 'end' };

/** What it answers, once. */
export type FollowAnswer = { readonly kind: 'done'; readonly followed: Followed } | { readonly kind: 'failed'; readonly error: PlainError };

/** An error as plain data: threads copy no class and no property of their own. */
export type PlainError =
  | { readonly kind: 'refusal'; readonly rule: string; readonly message: string }
  | { readonly kind: 'pull-problem'; readonly problem: PullProblemKind; readonly message: string }
  | { readonly kind: 'system'; readonly message: string; readonly facts: SystemFacts }
  | { readonly kind: 'other'; readonly message: string; readonly stack: string | undefined };

interface SystemFacts {
  readonly code: string;
  readonly errno?: number;
  readonly syscall?: string;
  readonly path?: string;
}

/** An error on its way out of the thread. */
export function toPlainError(error: unknown): PlainError {
  if (error instanceof Refusal) return { kind: 'refusal', rule: error.rule, message: error.message };
  if (error instanceof PullProblem) return { kind: 'pull-problem', problem: error.kind, message: error.message };
  if (!(error instanceof Error)) return { kind: 'other', message: String(error), stack: undefined };
  if (isSystemError(error)) {
    const { code, errno, syscall, path } = error;
    const facts = {
      code,
      ...(errno === undefined ? {} : { errno }),
      ...(syscall === undefined ? {} : { syscall }),
      ...(path === undefined ? {} : { path }),
    };
    return { kind: 'system', message: error.message, facts };
  }
  return { kind: 'other', message: error.message, stack: error.stack };
}

/** The same error again. */
export function fromPlainError(plain: PlainError): Error {
  switch (plain.kind) {
    case 'refusal':
      return new Refusal(plain.rule, plain.message);
    case 'pull-problem':
      return new PullProblem(plain.problem, plain.message);
    case 'system':
      return Object.assign(new Error(plain.message), plain.facts);
    case 'other': {
      const error = new Error(plain.message);
      if (plain.stack !== undefined) error.stack = plain.stack;
      return error;
    }
  }
}

function isSystemError(error: Error): error is NodeJS.ErrnoException & { code: string } {
  return 'code' in error && typeof error.code === 'string';
}
