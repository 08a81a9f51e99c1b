import { expect } from 'vitest';
import { Refusal } from '../../src/images/failures.ts';

/** Expects that the bytes are refused by the rule, with a message that matches. */
export function expectRefusal(act: () => unknown, rule: string, message: RegExp = /./): void {
  const thrown = thrownBy(act);
  expect(thrown).toBeInstanceOf(Refusal);
  expect(thrown).toMatchObject({ rule, message: expect.stringMatching(message) });
}

/** What hostile bytes may do at most: they are refused, or nothing is thrown. */
export function expectReadOrRefused(act: () => unknown): void {
  const thrown = thrownBy(act);
  expect(thrown ?? new Refusal('none', 'nothing was thrown')).toBeInstanceOf(Refusal);
}

/** What is thrown, if anything. */
export function thrownBy(act: () => unknown): unknown {
  try {
    act();
    return undefined;
  } catch (error) {
    return error;
  }
}
