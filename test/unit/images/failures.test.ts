import { expect, test } from 'vitest';
import { invalid, VmletError } from '../../../src/model/errors.ts';
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

test('the image is named where the disk is full', () => {
  const full = new VmletError({ code: 'DISK_FULL', path: '/store' }, '/store: 2 bytes are wanted and 1 are free');
  expect(toVmletError(full, 'disk', '/store')).toMatchObject({ facts: full.facts, message: `image disk: ${full.message}`, cause: full });
});

test('a fault in the node’s own files is no fault of the request', () => {
  const file = invalid('/certs.d/hosts.toml', 'is no TOML');
  expect(toVmletError(file, 'disk', '/store')).toMatchObject({
    facts: { code: 'PULL_FAILED', reference: 'disk', reason: 'other' },
    message: 'image disk: /certs.d/hosts.toml: is no TOML',
    cause: file,
  });
  const named = invalid('image', '"disk": is wrong');
  expect(toVmletError(named, 'disk', '/store')).toBe(named);
});

test('a full disk says which, and what to do', () => {
  const error = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  expect(toVmletError(error, 'disk', '/store')).toMatchObject({
    facts: { code: 'DISK_FULL', path: '/store' },
    message: 'image disk: no space left in /store: remove images or pods, or make room otherwise',
  });
});
