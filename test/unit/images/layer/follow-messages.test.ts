import { describe, expect, test } from 'vitest';
import { PullProblem, Refusal, toVmletError } from '../../../../src/images/failures.ts';
import { fromPlainError, toPlainError } from '../../../../src/images/layer/follow-messages.ts';

/** As between threads. */
const crossed = (error: unknown): Error => fromPlainError(structuredClone(toPlainError(error)));

describe('an error that crosses threads', () => {
  test('stays a refusal', () => {
    const error = crossed(new Refusal('tar-entry', 'says'));
    expect(error).toBeInstanceOf(Refusal);
    expect(error).toMatchObject({ rule: 'tar-entry', message: 'says' });
  });

  test('stays a pull problem', () => {
    const error = crossed(new PullProblem('inspection', 'says'));
    expect(error).toBeInstanceOf(PullProblem);
    expect(error).toMatchObject({ kind: 'inspection', message: 'says', registryAway: false });
  });

  test('stays a full disk', () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', errno: -28, syscall: 'write' });
    expect(crossed(full)).toMatchObject({ code: 'ENOSPC', errno: -28, syscall: 'write', message: full.message });
    expect(toVmletError(crossed(full), 'r', '/store')).toMatchObject({ facts: { code: 'DISK_FULL', path: '/store' } });
  });

  test('keeps the text of anything else', () => {
    const bug = new TypeError('bug');
    expect(crossed(bug)).toMatchObject({ message: 'bug', stack: bug.stack });
    expect(crossed('text').message).toBe('text');
  });
});
