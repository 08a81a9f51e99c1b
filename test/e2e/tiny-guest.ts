import { waitFor } from '../lib/wait.ts';
import { getFromPod, type TestNode } from '../node/node.ts';
import type { RunningPod } from '../kubelet/kubelet.ts';
import { untilLogged } from './guests.ts';

/** A pod whose VM runs the tiny image (images/tiny), as its tests talk to it: over HTTP, from the node. */
export interface TinyGuest {
  /** The pod's name, which is the guest's host name. */
  readonly name: string;
  /** The pod's first address. */
  readonly ip: string;
  readonly running: RunningPod;
  /** What the guest tells of itself, `KEY VALUE` lines. */
  readonly info: () => Promise<string>;
  /** Has the guest do something in its network, `WHAT=ARGUMENT`; answers what that printed. Throws when it fails in the guest. */
  readonly ask: (action: string) => Promise<string>;
  /** Waits for the login prompt. */
  readonly untilBooted: () => Promise<void>;
}

/** Several guests may boot at once, on two busy cores. */
const bootMs = 400_000;

/** Talks to the guest of a pod that has been started. */
export function tinyGuest(node: TestNode, running: RunningPod): TinyGuest {
  const { name } = running.pod;
  const [ip = ''] = running.ips;
  const get = async (path: string): Promise<string> => {
    const { status, text } = await getFromPod(node.network, `http://${ip}/cgi-bin/${path}`, 30_000);
    if (status !== 200) throw new Error(`${name} answers ${status}: ${text}`);
    return text;
  };
  return {
    name,
    ip,
    running,
    info: async () => get('info'),
    ask: async (action) => {
      const text = await get(`net?${action}`);
      const end = text.lastIndexOf('exit ');
      if (text.slice(end).trim() !== 'exit 0') throw new Error(`${name}, ${action}: ${text}`);
      return text.slice(0, end);
    },
    untilBooted: async () => void (await untilLogged(running.containers[0]?.logPath ?? '', /login:/, bootMs)),
  };
}

/** Port at which a tiny guest takes datagrams. */
export const datagramPort = 9;

/**
 * Has datagrams sent until the guest has got one of `bytes` that begins with the word `from`: they may get lost, the first one most of
 * all, while neighbours are looked for.
 */
export async function untilReceived(
  guest: TinyGuest,
  { from, bytes }: { readonly from: string; readonly bytes: number },
  send: () => Promise<unknown>,
): Promise<void> {
  const received = async (): Promise<boolean> => {
    await send();
    return (await guest.ask('received=udp')).includes(`datagram ${bytes} ${from}\n`);
  };
  await waitFor(received, { timeoutMs: 30_000, what: `datagram of ${bytes} bytes from ${from} at ${guest.name}`, everyMs: 200 });
}
