import { PullProblem } from '../failures.ts';
import { asPullProblem } from './http-get.ts';
import type { HttpAnswer } from './http-client.ts';
import { shown } from './http-rules.ts';

/** Reads a body of at most `maxBytes` into memory. Throws `PullProblem` (too-large, connection) or the signal's reason; the connection may be used again. */
export async function readBody({ response, url }: HttpAnswer, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
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
  }
  return Buffer.concat(chunks);
}
