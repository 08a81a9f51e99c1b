import { expect, test } from 'vitest';
import { PullProblem, toVmletError } from '../../../src/images/failures.ts';

test.each([
  ['a connection that fails', new PullProblem('connection', 'x'), 'registry-away'],
  ['a server that is overloaded', new PullProblem('status', 'x', { registryAway: true }), 'registry-away'],
  ['a signature that is missing', new PullProblem('signature', 'x'), 'signature'],
  ['anything else', new PullProblem('digest', 'x'), 'other'],
] as const)('%s tells the caller: %s', (_what, problem, reason) => {
  expect(toVmletError(problem, 'disk', '/store')).toMatchObject({
    facts: { code: 'PULL_FAILED', reference: 'disk', reason },
    message: 'image disk: x',
    cause: problem,
  });
});
