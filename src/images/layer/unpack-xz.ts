import type { Writable } from 'node:stream';
import { filterConfined, type ConfinedFilter } from '../door/confined-filter.ts';
import { PullProblem, Refusal } from '../failures.ts';
import { quoted } from '../quoted.ts';

/** Nobody: the program sees nothing but the two pipes. */
const user = { uid: 65_534, gid: 65_534 };
/** `xz -9` needs 65 MiB to unpack. */
const memoryLimit = '256MiB';
const memoryBytes = 512 * 2 ** 20;
/** Far less than xz unpacks on any node; what takes longer is ended by its limit of CPU. */
const slowestBytesPerSecond = 4 * 2 ** 20;

const command = ['xz', '--decompress', '--stdout', '--format=xz', '--threads=1', `--memlimit-decompress=${memoryLimit}`];

/** Unpacks with xz(1), confined. Throws `Refusal` `compression` for what xz does not take, `PullProblem` where xz cannot be run. */
export async function* unpackXz(
  packed: AsyncGenerator<Buffer, undefined>,
  { maxUnpackedBytes }: { readonly maxUnpackedBytes: number },
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const cpuSeconds = 60 + Math.ceil(maxUnpackedBytes / slowestBytesPerSecond);
  await using xz = await filterConfined(command, { user, memoryBytes, cpuSeconds }, signal);
  const fed = feed(xz.stdin, packed);
  fed.catch((error: unknown) => xz.stdout.destroy(error instanceof Error ? error : new Error('feeding failed', { cause: error })));
  for await (const chunk of xz.stdout as AsyncIterable<Buffer>) yield chunk;
  signal.throwIfAborted();
  await judgeEnd(xz);
  await fed;
}

/** Feeds until there is no more or nobody reads, for whatever reason. */
async function feed(stdin: Writable, packed: AsyncGenerator<Buffer, undefined>): Promise<void> {
  for await (const piece of packed) {
    const isTaken = await new Promise<boolean>((resolve) => {
      stdin.write(piece, (error) => resolve(!error));
    });
    if (!isTaken) return;
  }
  stdin.end();
}

async function judgeEnd(xz: ConfinedFilter): Promise<void> {
  const { exitCode, signal, stderr } = await xz.ended();
  if (exitCode === 0) return;
  const said = stderr.trim();
  if (signal === null && !said.startsWith('xz:')) {
    throw new PullProblem('inspection', `xz cannot be run (package xz-utils): exit status ${exitCode}: ${quoted(said)}`);
  }
  throw new Refusal('compression', `the blob cannot be unpacked with xz: ${quoted(signal === null ? said : `it died by ${signal}`)}`);
}
