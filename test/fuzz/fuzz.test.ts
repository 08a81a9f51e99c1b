import { expect, test } from 'vitest';
import { PullProblem, Refusal } from '../../src/images/failures.ts';
import { doorTargets } from './door-targets.ts';
import { layerTargets } from './layer-targets.ts';
import { diceOf, mutate, spotsOf } from './mutate.ts';
import type { FuzzTarget } from './target.ts';

/** Whatever reads hostile bytes; add a target for each new reader. */
const targets: readonly FuzzTarget[] = [...doorTargets, ...layerTargets];

const wholeSeconds = positive('VMLET_FUZZ_SECONDS') ?? 60;
const firstSeed = positive('VMLET_FUZZ_SEED') ?? Date.now() & 0x7fff_ffff;
/** Set by hand to the seed that a find tells: that input alone is tried. */
const onlySeed = positive('VMLET_FUZZ_ONLY');
const shareMs = (wholeSeconds * 1_000) / targets.length;
const knownSpots = new Map<() => Buffer, readonly number[]>();
/** Longest that a reader may take for one input, milliseconds, on a machine that does other things too. */
const longestMs = 2_000;

test.each(targets)('$name', { timeout: shareMs + 60_000 }, async (target) => {
  const until = performance.now() + shareMs;
  const told = new Map<string, number>();
  let inputs = 0;
  for (let seed = onlySeed ?? firstSeed; inputs === 0 || (onlySeed === undefined && performance.now() < until); seed += 1) {
    const outcome = await tryInput(target, seed);
    told.set(outcome, (told.get(outcome) ?? 0) + 1);
    inputs += 1;
    if (inputs % 500 === 0) await new Promise(setImmediate);
  }
  const outcomes = [...told].toSorted((a, b) => b[1] - a[1]).map(([rule, count]) => `${rule} ${count}`);
  process.stdout.write(`fuzz: ${target.name}: ${inputs} inputs from seed ${onlySeed ?? firstSeed}: ${outcomes.join(', ')}\n`);
  expect(inputs).toBeGreaterThan(0);
});

async function tryInput(target: FuzzTarget, seed: number): Promise<string> {
  const dice = diceOf(seed);
  const make = target.seeds[dice.below(target.seeds.length)];
  if (make === undefined) throw new Error(`${target.name} has no seeds`);
  const input = mutate(make(), spotsFor(make), dice);
  const started = performance.now();
  try {
    await target.read(input);
    return 'passed';
  } catch (error) {
    if (error instanceof Refusal) return error.rule;
    if (error instanceof PullProblem) return error.kind;
    throw new Error(`replay with VMLET_FUZZ_ONLY=${seed} npm run test:fuzz -- -t '${target.name}'`, { cause: error });
  } finally {
    expect(performance.now() - started, `milliseconds for seed ${seed}`).toBeLessThan(longestMs);
  }
}

function spotsFor(make: () => Buffer): readonly number[] {
  const found = knownSpots.get(make) ?? spotsOf(make());
  knownSpots.set(make, found);
  return found;
}

function positive(name: string): number | undefined {
  const number = Number(process.env[name]);
  return Number.isSafeInteger(number) && number > 0 ? number : undefined;
}
