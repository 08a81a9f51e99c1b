import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { z } from 'zod';

/** Somebody in a plain network namespace who talks TCP and UDP, as any process of a machine does. */
export interface Peer extends AsyncDisposable {
  /** Sends one datagram; that it may get lost is not told. */
  readonly send: (to: string, port: number, text: string) => void;
  /** The datagrams that have come so far. */
  readonly datagrams: () => readonly Datagram[];
}

/** A datagram, and whose address it came from. */
export interface Datagram {
  readonly from: string;
  readonly text: string;
}

/** What a peer does. */
export interface PeerOptions {
  /** Where it listens, both TCP and UDP, both families. */
  readonly port: number;
  /** How much whoever connects is told, bytes: `from ADDRESS`, and dots. */
  readonly tcpBytes?: number;
}

const datagram = z.object({ from: z.string(), text: z.string() });

/** Starts a peer; answers when it listens. A datagram that comes is answered with `from ADDRESS BYTES bytes`. */
export async function startPeer(netnsPath: string, { port, tcpBytes = 0 }: PeerOptions): Promise<Peer> {
  const program = join(import.meta.dirname, 'peer-program.ts');
  const child = fork(program, [String(port), String(tcpBytes)], {
    execPath: 'nsenter',
    execArgv: [`--net=${netnsPath}`, process.execPath],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const closed = once(child, 'close');
  const seen: Datagram[] = [];
  const ended = closed.then(() => Promise.reject(new Error('the peer has ended at its start')));
  await Promise.race([once(child, 'message', { signal: AbortSignal.timeout(20_000) }), ended]);
  child.on('message', (value) => void seen.push(datagram.parse(value)));
  return {
    send: (to, toPort, text) => void child.send({ to, port: toPort, text }),
    datagrams: () => seen,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
