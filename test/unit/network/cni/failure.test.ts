import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failureOf, isReported, type PluginRun } from '../../../../src/network/cni/failure.ts';

const run = (more: Partial<PluginRun>): PluginRun => ({ stdout: '', stderr: '', exitCode: 1, signal: undefined, ended: 'exit', ...more });
const failure = (more: Partial<PluginRun>): ReturnType<typeof failureOf> => failureOf('calico', 'ADD', run(more), 30_000);
const error = (more: object): string => JSON.stringify({ cniVersion: '1.0.0', code: 11, ...more });

describe('failureOf', () => {
  it.each([
    ['error 11: try again; the datastore is away', { stdout: error({ msg: 'try again', details: 'the datastore is away' }) }],
    ['error 11: try again; stderr: a hint', { stdout: error({ msg: 'try again' }), stderr: ' a hint\n' }],
    ['error 11: try again; why; stderr: a hint', { stdout: error({ msg: 'try again', details: 'why' }), stderr: 'a hint' }],
    ['error 11: no message', { stdout: error({ details: null }) }],
    ['exit status 2 without a CNI error; panic: nil map', { exitCode: 2, stderr: ' panic: nil map\n' }],
    ['exit status 1 without a CNI error; {"ips": []}', { stdout: '{"ips": []}' }],
    ['exit status 1 without a CNI error; not found', { stdout: 'ignored', stderr: 'not found' }],
    ['exit status 127 without a CNI error', { exitCode: 127 }],
    ['ended by SIGSEGV without a CNI error', { exitCode: undefined, signal: 'SIGSEGV' }],
    [
      'no answer within 30000 ms, killed; waiting for the lock',
      { ended: 'deadline' as const, exitCode: undefined, signal: 'SIGTERM', stderr: 'waiting for the lock' },
    ],
    ['no answer within 30000 ms, killed', { ended: 'deadline' as const, exitCode: 0 }],
    ['too much output, killed', { ended: 'flood' as const, exitCode: 0 }],
  ])('says "%s"', (problem, how) => {
    expect(failure(how)?.message).toBe(`CNI plugin calico, ADD: ${problem}`);
  });

  it('is nothing for a plugin that ended well, whatever it said on the way', () => {
    expect(failure({ exitCode: 0, stdout: error({ msg: 'x' }), stderr: 'a warning' })).toBeUndefined();
  });

  it('tells what a plugin reports from what became of it', () => {
    const told = failure({ stdout: error({ msg: 'no such chain' }) });
    const cut = [failure({ exitCode: undefined, signal: 'SIGKILL' }), failure({ ended: 'deadline' }), new Error('no such chain')];
    expect([told, ...cut].map(isReported)).toEqual([true, false, false, false]);
  });

  it('carries the plugin’s own code and details', () => {
    expect(failure({ stdout: error({ msg: 'm', details: 'd' }) })?.facts).toEqual({
      code: 'CNI_FAILED',
      plugin: 'calico',
      cniCode: 11,
      details: 'd',
    });
    expect(failure({})?.facts).toEqual({ code: 'CNI_FAILED', plugin: 'calico' });
  });

  it('quotes a bounded end of stderr and a bounded beginning of stdout', () => {
    expect(failure({ stderr: `${'x'.repeat(5_000)}the end` })?.message).toMatch(/; x{1993}the end$/);
    expect(failure({ stdout: `begin${'x'.repeat(5_000)}` })?.message).toMatch(/; beginx{1995}$/);
  });

  it('finds a failure in every run that did not end well', () => {
    const anyRun = fc.record({
      stdout: fc.oneof(fc.string(), fc.json()),
      stderr: fc.string(),
      exitCode: fc.option(fc.integer({ min: 1, max: 255 }), { nil: undefined }),
      signal: fc.option(fc.constant('SIGKILL'), { nil: undefined }),
      ended: fc.constantFrom('exit' as const, 'deadline' as const, 'flood' as const),
    });
    fc.assert(
      fc.property(anyRun, (how) => {
        expect(failure(how)?.facts).toMatchObject({ code: 'CNI_FAILED', plugin: 'calico' });
      }),
    );
  });
});
