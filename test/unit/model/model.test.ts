import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { domainNameOf, tapNameOf } from '../../../src/model/container.ts';
import { toDiskFull } from '../../../src/model/disk-full.ts';
import { hasCode, invalid, VmletError } from '../../../src/model/errors.ts';
import { sandboxKey } from '../../../src/model/sandbox.ts';
import { randomId } from '../../../src/lib/ids.ts';

describe('names of a VM', () => {
  it('come from its id and fit where they are used', () => {
    const id = `0123456789abcdef${'0'.repeat(48)}`;
    expect([domainNameOf(id), tapNameOf(id)]).toEqual(['vmlet-0123456789ab', 't0123456789abc']);
    expect(tapNameOf(randomId()).length).toBeLessThanOrEqual(15); // Linux' IFNAMSIZ less the closing NUL
  });
});

describe("a sandbox's key", () => {
  it('is the same for the same pod and attempt only, whatever characters are in its names', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '-', '_', '/', '"', ',', '\\', '1'), maxLength: 4 });
    const metadata = fc.record({ name: text, namespace: text, uid: text, attempt: fc.nat(12) });
    fc.assert(
      fc.property(metadata, metadata, (a, b) => {
        const same = a.name === b.name && a.namespace === b.namespace && a.uid === b.uid && a.attempt === b.attempt;
        expect(sandboxKey(a) === sandboxKey(b)).toBe(same);
        expect(sandboxKey({ ...a })).toBe(sandboxKey(a));
      }),
      { numRuns: 1_000 },
    );
    const pod = { name: 'a', namespace: 'b', uid: 'c', attempt: 0 };
    expect(new Set([pod, { ...pod, attempt: 1 }, { ...pod, name: 'b', namespace: 'a' }].map(sandboxKey)).size).toBe(3);
  });
});

describe('errors', () => {
  it('are told apart by code and keep their cause to themselves', () => {
    const cause = new Error('token=secret');
    const error = new VmletError({ code: 'DISK_FULL', path: '/x' }, 'no space', { cause });
    expect([hasCode(error, 'DISK_FULL'), hasCode(error, 'INVALID', 'DISK_FULL'), hasCode(error, 'INVALID'), hasCode(error)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(error.cause).toBe(cause);
    expect(String(error)).toBe('VmletError: no space');
    expect([undefined, 'DISK_FULL', { facts: { code: 'DISK_FULL' } }, cause].some((other) => hasCode(other, 'DISK_FULL'))).toBe(false);
  });

  it('of a value name the field as its author wrote it', () => {
    const error = invalid('vmlet.io/vcpus', 'must be 1 to 64, is "many"');
    expect(error.facts).toEqual({ code: 'INVALID', field: 'vmlet.io/vcpus' });
    expect(error.message).toBe('vmlet.io/vcpus: must be 1 to 64, is "many"');
  });
});

describe('toDiskFull', () => {
  it.each(['ENOSPC', 'EDQUOT'])('says what to do for %s', (code) => {
    const cause = Object.assign(new Error('write'), { code });
    const error = toDiskFull(cause, '/var/lib/vmlet/images');
    expect(error).toMatchObject({ facts: { code: 'DISK_FULL', path: '/var/lib/vmlet/images' }, cause });
    expect(String(error)).toContain('/var/lib/vmlet/images');
  });

  it.each([Object.assign(new Error('write'), { code: 'EIO' }), new Error('ENOSPC'), undefined])('leaves %s as it is', (error) => {
    expect(toDiskFull(error, '/x')).toBe(error);
  });
});
