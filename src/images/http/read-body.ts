import { PullProblem } from '../failures.ts';
import { asPullProblem } from './http-get.ts';
import type { HttpAnswer } from './http-client.ts';
import { shown } from './http-rules.ts';

const longestReadMs = 60_000;

/**
 * Reads a body of at most `maxBytes` into memory, all of it within `timeoutMs`. Throws `PullProblem` (too-large, stalled, connection) or the
 * signal's reason; the connection may be used again.
 */
export async function readBody(
  { response, url }: HttpAnswer,
  maxBytes: number,
  signal: AbortSignal,
  timeoutMs: number = longestReadMs,
): Promise<Buffer> {
  const slow = new PullProblem('stalled', `${shown(url)}: the answer is not whole after ${timeoutMs} ms`);
  const timer = setTimeout(() => response.destroy(slow), timeoutMs);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) throw new PullProblem('too-large', `${shown(url)} answers with more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw asPullProblem(error, url, signal);
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks);
}
