import { describe, expect, it } from 'vitest';
import { makeCleanupStack } from '../../../src/lib/cleanup-stack.ts';

const quick = { pauseMs: 1 };

describe('a clean-up stack', () => {
  it('undoes in reverse order, one step after the other, each once', async () => {
    const stack = makeCleanupStack(quick);
    const seen: string[] = [];
    for (const name of ['netns', 'address', 'tap']) {
      stack.add(`remove the ${name}`, async () => {
        seen.push(`${name} starts`);
        await Promise.resolve();
        seen.push(`${name} ends`);
      });
    }
    expect(await stack.unwind()).toEqual([]);
    expect(await stack.unwind()).toEqual([]);
    expect(seen).toEqual(['tap starts', 'tap ends', 'address starts', 'address ends', 'netns starts', 'netns ends']);
  });

  it('runs nothing once it is dismissed, but what is added later', async () => {
    const stack = makeCleanupStack(quick);
    const seen: string[] = [];
    stack.add('first', () => seen.push('first'));
    stack.dismiss();
    stack.add('second', () => seen.push('second'));
    await stack.unwind();
    expect(seen).toEqual(['second']);
  });

  it('goes on after a step that fails, and says which one failed with its last error', async () => {
    const stack = makeCleanupStack({ ...quick, attempts: 3 });
    let tries = 0;
    let undone = false;
    stack.add('delete the network namespace', () => (undone = true));
    stack.add('remove the tap', () => {
      tries += 1;
      throw new Error(`busy ${tries}`);
    });
    expect(await stack.unwind()).toEqual([{ description: 'remove the tap', error: new Error('busy 3') }]);
    expect(undone).toBe(true);
  });

  it('tries a failing step again, with a fresh signal, and forgets what failed before', async () => {
    const stack = makeCleanupStack({ ...quick, stepTimeoutMs: 20 });
    const signals: AbortSignal[] = [];
    stack.add('free the address', async (signal) => {
      signals.push(signal);
      if (signals.length === 1) await aborted(signal);
    });
    expect(await stack.unwind()).toEqual([]);
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
  });

  it('pauses between attempts, not after the last', async () => {
    const stack = makeCleanupStack({ attempts: 3, pauseMs: 60 });
    const at: number[] = [];
    stack.add('x', () => {
      at.push(performance.now());
      throw new Error('no');
    });
    await stack.unwind();
    const [first = 0, second = 0, third = 0] = at;
    expect(at).toHaveLength(3);
    expect(Math.min(second - first, third - second)).toBeGreaterThan(55);

    const patient = makeCleanupStack({ attempts: 1, pauseMs: 3_600_000 });
    patient.add('x', () => Promise.reject(new Error('no')));
    expect(await patient.unwind()).toHaveLength(1);
  });

  it('reports a step that throws nothing in particular', async () => {
    const stack = makeCleanupStack({ ...quick, attempts: 1 });
    stack.add('x', async () => Promise.reject(undefined));
    expect(await stack.unwind()).toEqual([{ description: 'x', error: expect.any(Error) }]);
  });

  it('gives up a step that ignores its signal, and does not run it a second time beside itself', async () => {
    const stack = makeCleanupStack({ ...quick, stepTimeoutMs: 20, settleMs: 20, attempts: 3 });
    let tries = 0;
    let undone = false;
    stack.add('delete the network namespace', () => (undone = true));
    stack.add('remove the tap', async () => {
      tries += 1;
      return new Promise(() => undefined);
    });
    expect(await stack.unwind()).toEqual([{ description: 'remove the tap', error: expect.objectContaining({ name: 'TimeoutError' }) }]);
    expect([tries, undone]).toEqual([1, true]);
  });
});

async function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
