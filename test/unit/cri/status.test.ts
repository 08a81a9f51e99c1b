import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { toStatus } from '../../../src/cri/status.ts';
import { silentLog, type Log } from '../../../src/lib/log.ts';
import { VmletError, type ErrorFacts } from '../../../src/model/errors.ts';

const id = 'a'.repeat(64);

describe('the table from errors to gRPC status', () => {
  const table: readonly (readonly [ErrorFacts, keyof typeof status])[] = [
    [{ code: 'CNI_FAILED', plugin: 'bridge' }, 'UNKNOWN'],
    [{ code: 'CNI_UNAVAILABLE' }, 'UNAVAILABLE'],
    [{ code: 'DISK_FULL', path: '/x' }, 'RESOURCE_EXHAUSTED'],
    [{ code: 'IMAGE_IN_USE', imageId: 'sha256:1', containerId: id }, 'FAILED_PRECONDITION'],
    [{ code: 'IMAGE_NOT_FOUND', reference: 'x' }, 'NOT_FOUND'],
    [{ code: 'IMAGE_REFUSED', reference: 'x', rule: 'magic' }, 'INVALID_ARGUMENT'],
    [{ code: 'INVALID', field: 'x' }, 'INVALID_ARGUMENT'],
    [{ code: 'LIBVIRT_UNAVAILABLE' }, 'UNAVAILABLE'],
    [{ code: 'NOT_FOUND', kind: 'container', id }, 'NOT_FOUND'],
    [{ code: 'PULL_FAILED', reference: 'x', reason: 'other' }, 'UNKNOWN'],
    [{ code: 'RECORDS_UNREADABLE', file: '/x' }, 'UNAVAILABLE'],
    [{ code: 'UNIMPLEMENTED', feature: 'x' }, 'UNIMPLEMENTED'],
    [{ code: 'VM_FAILED', vm: 'x' }, 'UNKNOWN'],
    [{ code: 'WRONG_STATE', kind: 'sandbox', id, state: 'NOTREADY' }, 'FAILED_PRECONDITION'],
  ];

  test.each(table.map(([facts, code]) => [facts.code, code, facts] as const))('%s is %s, with its message', (_code, expected, facts) => {
    const error = toStatus(new VmletError(facts, 'what happened'), silentLog);
    expect(error).toMatchObject({ code: status[expected], details: 'what happened' });
  });

  test.each([
    ['registry-away', 'RegistryUnavailable: no route to host'],
    ['signature', 'SignatureValidationFailed: no route to host'],
  ] as const)('a pull that failed by %s is told as a kubelet recognises it: at the beginning of the text', (reason, details) => {
    const error = new VmletError({ code: 'PULL_FAILED', reference: 'x', reason }, 'no route to host');
    expect(toStatus(error, silentLog)).toMatchObject({ code: status.UNKNOWN, details });
  });

  test.each([
    ['TimeoutError', 'DEADLINE_EXCEEDED'],
    ['AbortError', 'CANCELLED'],
  ] as const)('%s is %s', (name, code) => {
    expect(toStatus(new DOMException('gone', name), silentLog).code).toBe(status[code]);
  });
});

describe('a bug', () => {
  function recordingLog(): { log: Log; events: { facts: object; message: string }[] } {
    const events: { facts: object; message: string }[] = [];
    return { events, log: { ...silentLog, error: (facts, message) => void events.push({ facts, message }) } };
  }

  test('is INTERNAL with an id under which the log has its stack; nothing of it reaches the caller', () => {
    const { log, events } = recordingLog();
    const answer = toStatus(new TypeError('secret of the inside', { cause: new Error('deeper') }), log);
    expect(answer.code).toBe(status.INTERNAL);
    expect(answer.details).not.toContain('secret');
    const errorId = /internal error ([0-9a-f]{8})/.exec(answer.details)?.[1];
    expect(events).toHaveLength(1);
    expect(events[0]?.facts).toMatchObject({ errorId, stack: expect.stringContaining('secret of the inside') });
    expect(events[0]?.facts).toMatchObject({ cause: expect.stringContaining('deeper') });
  });

  test('may be anything that was thrown', () => {
    const { log, events } = recordingLog();
    expect(toStatus('just text', log).code).toBe(status.INTERNAL);
    expect(events[0]?.facts).toMatchObject({ stack: 'just text' });
  });
});
