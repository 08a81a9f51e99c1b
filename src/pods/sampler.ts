import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';

/** How often and how many at a time. */
export interface SamplerOptions {
  readonly periodMs: number;
  readonly atOnce: number;
}

/** What is sampled. */
export interface SamplerDeps {
  /** The keys of what there is to sample now. */
  readonly keys: () => Iterable<string>;
  readonly sample: (key: string) => Promise<void>;
  readonly log: Log;
}

/** Samples things by key in the background. INVARIANT: of one key at most one sample is under way. */
export interface Sampler {
  /** Samples everything now and then every period; answers when the first pass is done. */
  readonly start: () => Promise<void>;
  /** Samples one in the background, after the sample under way if there is one: that may have begun too early. */
  readonly begin: (key: string) => void;
  /** The sample of a key that is under way; it never fails, since failures are logged. */
  readonly underWay: (key: string) => Promise<void> | undefined;
  /** No further pass begins; answers when what is under way has ended. */
  readonly stop: () => Promise<void>;
}

/** Makes a sampler. One that fails is told in the log, once until it succeeds again, and keeps no other from its turn. */
export function makeSampler({ periodMs, atOnce }: SamplerOptions, { keys, sample, log }: SamplerDeps): Sampler {
  const running = new Map<string, Promise<void>>();
  const failing = new Set<string>();
  let [timer, passing]: [NodeJS.Timeout | undefined, Promise<void> | undefined] = [undefined, undefined];
  let isStopped = false;

  async function once(key: string): Promise<void> {
    try {
      await sample(key);
      failing.delete(key);
    } catch (error) {
      if (!failing.has(key)) log.warn({ key, error: messageOf(error) }, 'statistics could not be taken');
      failing.add(key);
    }
  }

  async function begin(key: string): Promise<void> {
    if (isStopped) return;
    const run = Promise.resolve(running.get(key)).then(async () => once(key));
    running.set(key, run);
    await run;
    if (running.get(key) === run) running.delete(key);
  }

  async function pass(): Promise<void> {
    const all = new Set(keys());
    for (const key of failing) if (!all.has(key)) failing.delete(key);
    const queue = all.values();
    const worker = async (): Promise<void> => {
      for (const key of queue) await (running.get(key) ?? begin(key));
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
  }

  /** A pass that takes longer than the period delays the next one, and they never overlap. */
  async function nextPass(): Promise<void> {
    passing ??= pass().finally(() => {
      passing = undefined;
    });
    await passing;
  }

  return {
    start: async () => {
      timer = setInterval(() => void nextPass(), periodMs);
      timer.unref();
      await nextPass();
    },
    begin: (key) => void begin(key),
    underWay: (key) => running.get(key),
    stop: async () => {
      isStopped = true;
      clearInterval(timer);
      await Promise.all([passing, ...running.values()]);
    },
  };
}
