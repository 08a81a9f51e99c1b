import { setTimeout as delay } from 'node:timers/promises';
import { readLog } from '../../test/kubelet/kubelet.ts';
import { getFromPod, type PodNetwork, type WebAnswer } from '../../test/node/node.ts';

/** The line that the tiny guest prints when everything has started. */
export const lastLine = 'tiny: boot finished';

/** What a line of the tiny guest's console says about its start; `undefined` for nothing. */
export function bootStage(line: string): string | undefined {
  const stages = {
    'tiny: seed': 'reading the seed, asking for an address',
    'tiny: lease': 'starting services',
    [lastLine]: 'waiting for an answer',
  };
  return Object.entries(stages).find(([text]) => line.includes(text))?.[1];
}

/** Tells every new line of a container's log until `signal` aborts. */
export async function followLog(logPath: string, signal: AbortSignal, tell: (line: string) => void): Promise<void> {
  for (let told = 0; !signal.aborted;) {
    const lines = await readLog(logPath);
    for (const line of lines.slice(told)) tell(line);
    told = lines.length;
    await delay(100, undefined, { signal }).catch(() => undefined);
  }
}

/** Asks a guest's web server until it answers. Throws after `timeoutMs`, or when `signal` aborts. */
export async function untilAnswer(network: PodNetwork, url: string, timeoutMs: number, signal: AbortSignal): Promise<WebAnswer> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await getFromPod(network, url, 2_000, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (performance.now() > end) throw new Error(`${url} did not answer within ${timeoutMs / 1_000} s`, { cause: error });
    }
    await delay(250, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
