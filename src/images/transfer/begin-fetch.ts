import { PullProblem } from '../failures.ts';
import type { Validators } from '../http/validators.ts';
import { BehindEnd, type BlobRequest, type BlobSource } from './blob-source.ts';
import { canResume, conditionOf, isSame, type BlobIdentity } from './identity.ts';
import { sizeOf, withInterval, type Intervals } from './intervals.ts';
import type { Journal } from './journal.ts';
import { openWatched, type Opened } from './opened.ts';
import type { Retries } from './retries.ts';
import { segmentsOf, type Segment } from './segments.ts';
import { StartOver } from './start-over.ts';

/** What is asked first. */
export interface FirstQuestion {
  readonly source: BlobSource;
  readonly expectedDigest: string | undefined;
  readonly unlessCurrent: Validators | undefined;
  readonly segmentBytes: number;
  readonly stallTimeoutMs: number;
  /** Throws when a blob of this size is not wanted. */
  readonly checkTotal: (totalBytes: number) => void;
}

/** What the first answer tells: how the blob can be had. */
export interface Beginning {
  readonly kind: 'bytes';
  readonly identity: BlobIdentity;
  readonly resumption: 'none' | 'whole' | 'parts';
  /** What is here already. */
  readonly have: Intervals;
  /** What is to be brought. */
  readonly segments: readonly Segment[];
  /** Has the beginning of the first segment; `undefined` where nothing is missing. */
  readonly opened: Opened | undefined;
}

type Answer = Opened | { readonly kind: 'unchanged' };

/**
 * Asks for the blob's first segment, or the first that an earlier run's journal lacks. Throws `PullProblem`, `StartOver` (stale) when the journal's bytes
 * are of another blob, or the signal's reason.
 */
export async function beginFetch(
  question: FirstQuestion,
  journal: Journal | undefined,
  retries: Retries,
  signal: AbortSignal,
): Promise<Beginning | { readonly kind: 'unchanged' }> {
  const { source, expectedDigest, segmentBytes } = question;

  async function ask(request: BlobRequest): Promise<Answer> {
    const failures = retries.begin();
    for (;;) {
      try {
        await retries.ready(signal);
        return await openWatched(source, { ...request, unlessCurrent: question.unlessCurrent }, question.stallTimeoutMs, signal);
      } catch (error) {
        await failures.after(error, 0, signal);
      }
    }
  }

  async function goOn({ identity, durable }: Journal): ReturnType<typeof beginFetch> {
    const have = expectedDigest === undefined ? openToQuestion(durable, identity.totalBytes) : durable;
    const segments = segmentsOf(have, identity.totalBytes, segmentBytes);
    const [first] = segments;
    const plan = { kind: 'bytes', identity, resumption: 'parts', have, segments } as const;
    if (!first) return { ...plan, opened: undefined };
    const opened = await ask({ range: first, ifRange: conditionOf(identity) }).catch((error: unknown) => {
      throw error instanceof BehindEnd ? new StartOver('stale', error) : error;
    });
    if ('kind' in opened) return opened;
    const { body } = opened;
    if (body.isPartial && body.from === first.from && isSame(identity, body)) return { ...plan, opened };
    await opened[Symbol.asyncDispose]();
    throw new StartOver('stale', new PullProblem('answer', `${source.name} has other bytes than an earlier download brought`));
  }

  async function askAll(): ReturnType<typeof beginFetch> {
    const opened = await ask({});
    if ('kind' in opened) return opened;
    if (!opened.body.isPartial) return planOf(opened, question);
    await opened[Symbol.asyncDispose]();
    throw new PullProblem('answer', `${source.name} answers with a part, which was not asked for`);
  }

  if (journal) return goOn(journal);
  const opened = await ask({ range: { from: 0, to: segmentBytes } }).catch((error: unknown) => {
    if (error instanceof BehindEnd) return undefined; // a range of an empty blob
    throw error;
  });
  if (!opened) return askAll();
  if ('kind' in opened) return opened;
  const plan = await planOf(opened, question);
  if (!opened.body.isPartial) return plan;
  const { totalBytes } = plan.identity;
  if (totalBytes !== undefined && (totalBytes <= segmentBytes || plan.resumption === 'parts')) return plan;
  await opened[Symbol.asyncDispose](); // parts could not be told to belong together
  return askAll();
}

async function planOf(opened: Opened, { expectedDigest, segmentBytes, checkTotal }: FirstQuestion): Promise<Beginning> {
  const { totalBytes, validators, isPartial } = opened.body;
  try {
    if (totalBytes !== undefined) checkTotal(totalBytes); // before anything is planned for a size that anybody may have written
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
  const identity = { totalBytes, validators, expectedDigest };
  const segments: readonly Segment[] =
    isPartial && totalBytes !== undefined ? segmentsOf([], totalBytes, segmentBytes) : [{ from: 0, to: totalBytes }];
  const resumption = canResume(identity) ? (isPartial ? 'parts' : 'whole') : 'none';
  return { kind: 'bytes', identity, resumption, have: [], segments, opened };
}

/** Without its last byte if all is there: asking for that one tells whether the blob is still this. */
function openToQuestion(durable: Intervals, totalBytes: number): Intervals {
  return sizeOf(durable) < totalBytes ? durable : withInterval([], { from: 0, to: totalBytes - 1 });
}
