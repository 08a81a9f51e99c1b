import { describe, expect, test } from 'vitest';
import { PullProblem } from '../../../../src/images/failures.ts';
import { NotFound } from '../../../../src/images/registry/answer-problem.ts';
import { askInOrder, withRetries } from '../../../../src/images/registry/fallback.ts';
import { pause } from '../../../../src/lib/signals.ts';
import { BehindEnd } from '../../../../src/images/transfer/blob-source.ts';

const hosts = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];
const signal = AbortSignal.timeout(30_000);
const away = new PullProblem('connection', 'away', { retryAfterMs: 5 });

async function outcome(problems: Readonly<Record<string, Error>>, first = 0): Promise<unknown> {
  const asked: string[] = [];
  const ask = async ({ name }: { name: string }): Promise<string> => {
    asked.push(name);
    const problem = problems[name];
    if (problem) throw problem;
    return name;
  };
  return askInOrder(hosts, ask, first).then(
    ({ answer, index }) => ({ asked: asked.join(''), answer, index }),
    (error: unknown) => ({ asked: asked.join(''), error }),
  );
}

describe('hosts in their order', () => {
  test('until one answers, from where the last one did', async () => {
    expect(await outcome({})).toEqual({ asked: 'a', answer: 'a', index: 0 });
    expect(await outcome({ a: away })).toEqual({ asked: 'ab', answer: 'b', index: 1 });
    expect(await outcome({ c: away, b: away }, 1)).toEqual({ asked: 'bca', answer: 'a', index: 0 });
  });

  test('all are named when none does; the last one of the list says what it means', async () => {
    const notFound = new NotFound('nothing');
    expect(await outcome({ a: notFound, b: notFound, c: away })).toMatchObject({
      error: { kind: 'connection', registryAway: true, retryAfterMs: 5, message: 'tried 3 hosts: a (nothing); b (nothing); c (away)' },
    });
    const missing = await outcome({ a: away, b: away, c: notFound }, 2);
    expect(missing).toMatchObject({ asked: 'cab', error: { registryAway: false } });
    expect((missing as { error: unknown }).error).toBeInstanceOf(NotFound);
  });

  test('what is no problem of a host ends it', async () => {
    expect(await outcome({ a: new Error('bug') })).toMatchObject({ asked: 'a', error: { message: 'bug' } });
    const behindEnd = new BehindEnd('x');
    expect(await outcome({ a: behindEnd })).toEqual({ asked: 'a', error: behindEnd });
  });

  test('none at all is a problem too', async () => {
    await expect(askInOrder([], async () => 1)).rejects.toMatchObject({
      registryAway: false,
      message: expect.stringMatching(/no host may be asked/),
    });
  });
});

describe('attempts', () => {
  async function attempts(error: unknown): Promise<{ count: number; waits: number[] }> {
    const waits: number[] = [];
    let count = 0;
    const work = async (): Promise<never> => {
      count += 1;
      throw error;
    };
    await expect(withRetries(work, async (ms) => void waits.push(ms), signal)).rejects.toBe(error);
    return { count, waits };
  }

  test('are three while the registry is away', async () => {
    const { count, waits } = await attempts(away);
    expect(count).toBe(3);
    expect(waits).toHaveLength(2);
    expect(waits.every((ms) => ms >= 500 && ms <= 2000)).toBe(true);
  });

  test('are one where another is of no use, or too far away', async () => {
    expect(await attempts(new NotFound('x'))).toEqual({ count: 1, waits: [] });
    expect(await attempts(new PullProblem('status', 'x', { registryAway: true, retryAfterMs: 61_000 }))).toEqual({ count: 1, waits: [] });
    expect(await attempts(new Error('bug'))).toEqual({ count: 1, waits: [] });
  });

  test('end with the signal’s reason', async () => {
    const reason = new Error('enough');
    const work = async (): Promise<never> => Promise.reject(away);
    await expect(withRetries(work, pause, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
