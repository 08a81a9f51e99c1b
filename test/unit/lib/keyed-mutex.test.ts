import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeKeyedMutex, type Lock } from '../../../src/lib/keyed-mutex.ts';

const never = new AbortController().signal;

describe('a keyed mutex', () => {
  it('serves one key in the order of asking, one at a time', async () => {
    const mutex = makeKeyedMutex();
    const seen: string[] = [];
    const work = async (name: string): Promise<void> => {
      using _lock = await mutex.lock('a', never);
      seen.push(`${name} in`);
      await turn();
      seen.push(`${name} out`);
    };
    await Promise.all([work('1'), work('2'), work('3')]);
    expect(seen).toEqual(['1 in', '1 out', '2 in', '2 out', '3 in', '3 out']);
  });

  it('lets other keys in', async () => {
    const mutex = makeKeyedMutex();
    using first = await mutex.lock('a', never);
    using second = await mutex.lock('b', never);
    expect([first.key, second.key]).toEqual(['a', 'b']);
  });

  it('releases when the block throws', async () => {
    const mutex = makeKeyedMutex();
    await expect(
      (async () => {
        using _lock = await mutex.lock('a', never);
        throw new Error('inside');
      })(),
    ).rejects.toThrow('inside');
    using again = await mutex.lock('a', never);
    expect(again.key).toBe('a');
  });

  it('throws the reason of an aborted wait at once, and keeps the order of the others', async () => {
    const mutex = makeKeyedMutex();
    const held = await mutex.lock('a', never);
    const impatient = new AbortController();
    const seen: string[] = [];
    const second = mutex.lock('a', impatient.signal);
    const third = mutex.lock('a', never).then((lock) => (seen.push('third'), lock));
    impatient.abort(new Error('deadline'));
    await expect(second).rejects.toThrow('deadline');
    await turn();
    expect(seen).toEqual([]); // the place is given up, not the lock that another holds
    held[Symbol.dispose]();
    (await third)[Symbol.dispose]();
    expect(seen).toEqual(['third']);
  });

  it('does not take a place for a signal that is aborted already', async () => {
    const mutex = makeKeyedMutex();
    await expect(mutex.lock('a', AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
    using lock = await mutex.lock('a', never);
    expect(lock.key).toBe('a');
  });

  it('may be released twice without letting two in', async () => {
    const mutex = makeKeyedMutex();
    const first = await mutex.lock('a', never);
    first[Symbol.dispose]();
    const second = await mutex.lock('a', never);
    first[Symbol.dispose]();
    let entered = false;
    const third = mutex.lock('a', never).then((lock) => ((entered = true), lock));
    await turn();
    expect(entered).toBe(false);
    second[Symbol.dispose]();
    (await third)[Symbol.dispose]();
  });

  it('never has two holders of a key and loses nobody, whoever gives up', async () => {
    const ask = fc.record({ key: fc.constantFrom('a', 'b'), turns: fc.nat(3), giveUpAfter: fc.option(fc.nat(4), { nil: undefined }) });
    await fc.assert(
      fc.asyncProperty(fc.array(ask, { maxLength: 12 }), async (asks) => {
        const mutex = makeKeyedMutex();
        const holders = new Map<string, number>();
        const outcomes = await Promise.all(
          asks.map(async ({ key, turns, giveUpAfter }) => {
            const stop = new AbortController();
            if (giveUpAfter !== undefined) void turnsPass(giveUpAfter).then(() => stop.abort(new Error('gave up')));
            let lock: Lock;
            try {
              lock = await mutex.lock(key, stop.signal);
            } catch {
              return giveUpAfter !== undefined;
            }
            holders.set(key, (holders.get(key) ?? 0) + 1);
            const alone = holders.get(key) === 1;
            await turnsPass(turns);
            holders.set(key, (holders.get(key) ?? 0) - 1);
            lock[Symbol.dispose]();
            return alone;
          }),
        );
        expect(outcomes).not.toContain(false);
        for (const key of ['a', 'b']) (await mutex.lock(key, never))[Symbol.dispose]();
      }),
      { numRuns: 200 },
    );
  });
});

async function turnsPass(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await turn();
}
