import { PullProblem } from '../failures.ts';
import type { PieceWriter, BlobFile } from './blob-file.ts';
import { BehindEnd, type BlobSource } from './blob-source.ts';
import { conditionOf, isSame, type BlobIdentity } from './identity.ts';
import { openWatched, type Opened } from './opened.ts';
import { mayTryAgain, type Retries } from './retries.ts';
import type { Segment } from './segments.ts';
import { StartOver } from './start-over.ts';

/** One run of a download: what its connections share. */
export interface Run {
  readonly source: BlobSource;
  readonly blob: BlobFile;
  readonly retries: Retries;
  readonly identity: BlobIdentity;
  /** Where nothing tells whether bytes belong together, or the server gives the whole only. */
  readonly resumption: 'none' | 'whole' | 'parts';
  readonly stallTimeoutMs: number;
  /** Throws when the blob is larger than it may be. */
  readonly checkSize: (bytes: number) => void;
  /** Told of each chunk: bytes from the network, and how many of them we did not have. */
  readonly onChunk: (bytes: number, newBytes: number) => void;
  /** Told of the first bytes; may throw. */
  readonly onBeginning: (bytes: Uint8Array) => void;
  /** Ends the run: with the first failure of any part of it. */
  readonly ending: { readonly signal: AbortSignal; readonly abort: (reason: unknown) => void };
}

/**
 * Brings all segments, in their order, over at most `connections` connections; `first` is the answer that has the first segment's beginning.
 * Throws the first failure, after all connections have ended and what they brought is written.
 */
export async function bringSegments(run: Run, segments: readonly Segment[], first: Opened | undefined, connections: number): Promise<void> {
  const queue = [...segments];
  const { ending } = run;
  let live = Math.min(connections, queue.length);

  async function connection(opened: Opened | undefined): Promise<void> {
    let begun = opened;
    for (let segment = queue.shift(); segment && !ending.signal.aborted; segment = queue.shift()) {
      const left = await bringSegment(run, segment, begun, () => live > 1);
      begun = undefined;
      if (!left) continue;
      queue.push(left);
      queue.sort((a, b) => a.from - b.from);
      break;
    }
    live -= 1;
  }

  const all = Array.from({ length: live }, async (_, index) =>
    connection(index === 0 ? first : undefined).catch((error: unknown) => ending.abort(error)),
  );
  await Promise.all(all);
  ending.signal.throwIfAborted();
}

/**
 * Brings one segment, over as many attempts as it takes: each goes on at the very byte. Answers what is left of it when the server is busy and another
 * connection can take it over.
 */
async function bringSegment(run: Run, segment: Segment, first: Opened | undefined, hasOthers: () => boolean): Promise<Segment | undefined> {
  const writer = run.blob.writerAt(segment.from);
  const failures = run.retries.begin();
  let { to } = segment;
  try {
    for (let begun = first; writer.position() !== to; begun = undefined) {
      const before = writer.position();
      try {
        await using opened = begun ?? (await openRest(run, { from: before, to }));
        if (opened.body.isPartial) to ??= opened.body.totalBytes;
        await readInto(run, opened, writer, to);
        if (to === undefined) return undefined;
        if (writer.position() < to && mustBeOne(run, writer.position() - before)) throw cutShort(run.source);
      } catch (error) {
        const newBytes = writer.position() - before;
        if (mayTryAgain(error) && newBytes > 0 && run.resumption === 'none') throw new StartOver('cut', error);
        if (isBusy(error) && hasOthers()) {
          run.retries.heed(error);
          return { from: writer.position(), to };
        }
        await failures.after(error, newBytes, run.ending.signal);
      }
    }
    return undefined;
  } finally {
    await writer.flush();
  }
}

/** Whether an answer that ends before it has all counts as a failure: a server may give less than a range, but not nothing. */
function mustBeOne({ resumption }: Run, newBytes: number): boolean {
  return newBytes === 0 || resumption === 'none';
}

function cutShort({ name }: BlobSource): PullProblem {
  return new PullProblem('too-few-bytes', `${name} answers with fewer bytes than were asked for`);
}

/** A server that has enough to do: one connection fewer is better than one that comes again and again. */
function isBusy(error: unknown): error is PullProblem {
  return mayTryAgain(error) && error.kind === 'status';
}

async function openRest(run: Run, rest: Segment): Promise<Opened> {
  const { source, identity, retries } = run;
  const { signal } = run.ending;
  await retries.ready(signal);
  const isAll = rest.from === 0 && run.resumption !== 'parts';
  const request = isAll ? {} : { range: rest, ifRange: conditionOf(identity) };
  const opened = await openWatched(source, request, run.stallTimeoutMs, signal).catch((error: unknown) => {
    throw error instanceof BehindEnd ? changed(source) : error;
  });
  if ('kind' in opened) throw new PullProblem('answer', `${source.name} answers that nothing has changed, which was not asked`);
  const problem = judge(run, opened, rest);
  if (!problem) return opened;
  await opened[Symbol.asyncDispose]();
  throw problem;
}

function judge({ source, identity, resumption }: Run, { body }: Opened, rest: Segment): Error | undefined {
  const isWhole = body.from === 0 && !body.isPartial;
  if (!isSame(identity, body) || (isWhole && resumption === 'parts' && rest.from > 0)) return changed(source);
  if (body.from !== rest.from && !isWhole) return new PullProblem('answer', `${source.name} answers with other bytes than were asked for`);
  const isEndless = rest.to === undefined && body.isPartial && body.totalBytes === undefined;
  return isEndless ? new PullProblem('answer', `${source.name} gives a part without saying of how much`) : undefined;
}

function changed(source: BlobSource): StartOver {
  return new StartOver('changed', new PullProblem('answer', `${source.name} changed while it was downloaded`, { registryAway: true }));
}

/** Reads to the answer's end, or to the segment's where the answer goes on; leaves out what we have. */
async function readInto(run: Run, { body, watch }: Opened, writer: PieceWriter, to = Infinity): Promise<void> {
  let at = body.from;
  for await (const chunk of body.chunks) {
    watch.pause();
    const from = Math.max(0, writer.position() - at);
    const fresh = chunk.subarray(Math.min(from, chunk.length), Math.max(0, Math.min(chunk.length, to - at)));
    at += chunk.length;
    run.retries.arrived(fresh.length);
    run.onChunk(chunk.length, fresh.length);
    if (fresh.length > 0) {
      if (writer.position() === 0) run.onBeginning(fresh);
      run.checkSize(writer.position() + fresh.length);
      await writer.write(fresh);
    }
    if (at > to) return;
    watch.touch();
  }
}
