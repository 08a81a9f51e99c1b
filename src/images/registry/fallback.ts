import { PullProblem } from '../failures.ts';
import { BehindEnd } from '../transfer/blob-source.ts';
import { NotFound } from './answer-problem.ts';

/** A host's failure. */
export interface Attempt {
  /** The host, for messages. */
  readonly name: string;
  readonly problem: PullProblem;
}

/**
 * Asks hosts in order, from the `first`th on and then those before it, until one answers. What is no `PullProblem` ends it at once. Throws the one problem
 * there is, or one that names all hosts and has the facts of the last in the list: the registry itself, which decides what there is.
 */
export async function askInOrder<Host extends { readonly name: string }, Answer>(
  hosts: readonly Host[],
  ask: (host: Host) => Promise<Answer>,
  first = 0,
): Promise<{ readonly answer: Answer; readonly index: number }> {
  const attempts: (Attempt | undefined)[] = hosts.map(() => undefined);
  for (let step = 0; step < hosts.length; step += 1) {
    const index = (first + step) % hosts.length;
    const host = hosts[index];
    if (!host) break;
    try {
      return { answer: await ask(host), index };
    } catch (error) {
      if (!(error instanceof PullProblem) || error instanceof BehindEnd) throw error;
      attempts[index] = { name: host.name, problem: error };
    }
  }
  throw combined(attempts.filter((attempt) => attempt !== undefined));
}

/** One problem for those of several hosts. */
export function combined(attempts: readonly Attempt[]): PullProblem {
  const last = attempts.at(-1)?.problem;
  if (!last)
    return new PullProblem('connection', 'no host may be asked: none in hosts.toml has the capabilities that this needs', {
      registryAway: false,
    });
  if (attempts.length === 1) return last;
  const message = `tried ${attempts.length} hosts: ${attempts.map(({ name, problem }) => `${name} (${problem.message})`).join('; ')}`;
  const { kind, registryAway, retryAfterMs } = last;
  return last instanceof NotFound
    ? new NotFound(message, { cause: last })
    : new PullProblem(kind, message, { cause: last, registryAway, retryAfterMs });
}

/** Waits; throws when the signal aborts. */
export type Wait = (ms: number, signal: AbortSignal) => Promise<void>;

const mostAttempts = 3;
const baseMs = 1000;
const longestWaitMs = 60_000;

/** Small requests are made up to three times while the registry is away, after a second or so, then two, or when it says, if that is within a minute. */
export async function withRetries<T>(work: () => Promise<T>, wait: Wait, signal: AbortSignal): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof PullProblem) || !error.registryAway || failures === mostAttempts) throw error;
      const { retryAfterMs = 0 } = error;
      if (retryAfterMs > longestWaitMs) throw error;
      await wait(Math.max(retryAfterMs, baseMs * 2 ** (failures - 1) * (0.5 + Math.random() / 2)), signal);
    }
  }
}
