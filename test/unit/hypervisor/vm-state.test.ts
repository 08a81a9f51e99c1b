import { describe, expect, it } from 'vitest';
import { isGuestOf, tellingLines, vcpuOf } from '../../../src/hypervisor/qemu-process.ts';
import { endCauseOf, eventBodyOf, stateOf, tellsPanic } from '../../../src/hypervisor/vm-state.ts';
import { libvirtNumbers, type DomainEvent, type DomainState, type LifecycleEvent } from '../../../src/libvirt/libvirt.ts';

const { shutoffReason, stoppedDetail, crashedDetail } = libvirtNumbers;
const domain = { name: 'vmlet-0123456789ab', uuid: '01234567-89ab-4cde-8f01-23456789abcd', id: 1 };

function lifecycle(event: LifecycleEvent, detail = 0): DomainEvent {
  return { kind: 'lifecycle', event, detail, domain, callbackId: 1 };
}

describe('stateOf', () => {
  it.each<[DomainState, string]>([
    ['running', 'running'],
    ['blocked', 'running'],
    ['shutdown', 'running'],
    ['paused', 'paused'],
    ['pmsuspended', 'paused'],
    ['shutoff', 'off'],
    ['crashed', 'off'],
    ['nostate', 'off'],
    ['unknown', 'off'],
  ])('%s is %s', (state, expected) => {
    expect(stateOf({ state, reason: 0 })).toBe(expected);
  });
});

describe('endCauseOf', () => {
  it.each([
    ['shutdown', 'shutdown'],
    ['destroyed', 'destroyed'],
    ['crashed', 'crashed'],
    ['failed', 'failed'],
    ['migrated', 'destroyed'],
    ['saved', 'destroyed'],
    ['unknown', undefined],
    ['daemon', undefined],
  ] as const)('off for the reason %s: %s', (reason, cause) => {
    expect(endCauseOf({ state: 'shutoff', reason: shutoffReason[reason] })).toBe(cause);
  });

  it('is none of a VM that runs', () => {
    expect(endCauseOf({ state: 'running', reason: 1 })).toBeUndefined();
  });
});

describe('eventBodyOf', () => {
  it('tells how a VM stopped', () => {
    const cause = (detail: number, panicked = false): unknown => eventBodyOf(lifecycle('stopped', detail), panicked);
    expect(cause(stoppedDetail.shutdown)).toEqual({ kind: 'stopped', cause: 'shutdown' });
    expect(cause(stoppedDetail.destroyed)).toEqual({ kind: 'stopped', cause: 'destroyed' });
    expect(cause(stoppedDetail.failed)).toEqual({ kind: 'stopped', cause: 'failed' });
    expect(cause(stoppedDetail.crashed)).toEqual({ kind: 'stopped', cause: 'crashed' });
    expect(cause(stoppedDetail.crashed, true)).toEqual({ kind: 'stopped', cause: 'panicked' });
    expect(cause(stoppedDetail.migrated)).toEqual({ kind: 'stopped', cause: 'destroyed' });
  });

  it('tells starts, pauses and reboots, and nothing of the rest', () => {
    expect(eventBodyOf(lifecycle('started'), false)).toEqual({ kind: 'started' });
    expect(eventBodyOf(lifecycle('suspended'), false)).toEqual({ kind: 'paused' });
    expect(eventBodyOf(lifecycle('resumed'), false)).toEqual({ kind: 'resumed' });
    expect(eventBodyOf({ kind: 'reboot', domain, callbackId: 1 }, false)).toEqual({ kind: 'rebooted' });
    for (const event of ['defined', 'undefined', 'shutdown', 'crashed', 'unknown'] as const) {
      expect(eventBodyOf(lifecycle(event), false)).toBeUndefined();
    }
    expect(eventBodyOf({ kind: 'deviceRemoved', device: 'net0', domain, callbackId: 1 }, false)).toBeUndefined();
  });

  it('a panic is told before the end', () => {
    expect(tellsPanic(lifecycle('crashed', crashedDetail.panicked))).toBe(true);
    expect(tellsPanic(lifecycle('crashed', crashedDetail.crashloaded))).toBe(false);
    expect(tellsPanic(lifecycle('stopped', 0))).toBe(false);
  });
});

describe('QEMU’s process', () => {
  it('is the one whose command line names the guest, and no longer name that begins alike', () => {
    const cmdline = (...args: readonly string[]): string => ['/usr/bin/qemu-system-x86_64', ...args].map((arg) => `${arg}\0`).join('');
    expect(isGuestOf(cmdline('-name', 'guest=a,debug-threads=on'), 'a')).toBe(true);
    expect(isGuestOf(cmdline('-name', 'guest=a'), 'a')).toBe(true);
    expect(isGuestOf(cmdline('-name', 'guest=ab,debug-threads=on'), 'a')).toBe(false);
    expect(isGuestOf(cmdline('-append', 'guest=a,'), 'a')).toBe(false);
    expect(isGuestOf('', 'a')).toBe(false);
  });

  it('has threads that are virtual CPUs', () => {
    expect([vcpuOf('CPU 0/TCG\n'), vcpuOf('CPU 12/KVM'), vcpuOf('IO mon_iothread\n'), vcpuOf('CPU x/TCG')]).toEqual([
      0,
      12,
      undefined,
      undefined,
    ]);
  });

  it('leaves a log whose telling lines are quoted', () => {
    const log = 'cut\n2026-11-25 starting up\nLC_ALL=C \\\n/usr/bin/qemu \\\n-name guest=a\nqemu: fatal: no memory\n\n';
    expect(tellingLines(log, true)).toBe('2026-11-25 starting up\nLC_ALL=C \\'.split('\n')[0] + '\nqemu: fatal: no memory');
    expect(tellingLines('x'.repeat(5_000), false)).toHaveLength(2_048);
  });
});
