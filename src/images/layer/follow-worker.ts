// The thread that follows one blob: `followBlob` starts it.
import { parentPort, workerData } from 'node:worker_threads';
import type { FollowRequest } from './follower.ts';
import { toPlainError, type FollowAnswer, type FollowOrder } from './follow-messages.ts';
import { followPrefix } from './follow-prefix.ts';
import { makeGrowth } from './growth.ts';

const port = parentPort;
if (port === null) throw new Error('this is no thread');
const growth = makeGrowth();
const ending = new AbortController();

port.on('message', (order: FollowOrder) => {
  if (order.kind === 'advance') growth.advance(order.bytes);
  else if (order.kind === 'finish') growth.finish(order.totalBytes);
  else ending.abort();
});

let answer: FollowAnswer;
try {
  answer = { kind: 'done', followed: await followPrefix(workerData as FollowRequest, growth, ending.signal) };
} catch (error) {
  answer = { kind: 'failed', error: toPlainError(error) };
}
port.postMessage(answer);
port.close();
