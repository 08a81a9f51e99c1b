import { expect, onTestFinished, test } from 'vitest';
import { filterConfined } from '../../../../src/images/door/confined-filter.ts';
import { isRunning } from '../../../lib/processes.ts';
import { waitFor } from '../../../lib/wait.ts';

const options = { user: { uid: 65_534, gid: 65_534 }, memoryBytes: 2 ** 28, cpuSeconds: 7 };

async function start(script: string, signal: AbortSignal = AbortSignal.timeout(30_000)) {
  const filter = await filterConfined(['sh', '-c', script], options, signal);
  onTestFinished(async () => filter[Symbol.asyncDispose]());
  return filter;
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('what goes in comes out, and how it ended is told', async () => {
  const filter = await start('tr a-z A-Z; echo said >&2; exit 3');
  filter.stdin.end('text');
  expect(await textOf(filter.stdout)).toBe('TEXT');
  expect(await filter.ended()).toEqual({ exitCode: 3, signal: null, stderr: 'said\n' });
});

test('it is nobody, without network, under the limits given', async () => {
  const filter = await start('id -u; tail -n +2 /proc/self/net/route | wc -l; ulimit -v; ulimit -t; ulimit -f');
  expect(await textOf(filter.stdout)).toBe('65534\n0\n262144\n7\n0\n');
});

test('a program that does not read makes writing fail, not the process', async () => {
  const filter = await start('exec <&-; sleep 0.1; exit 5');
  const error = await new Promise((resolve) => {
    const write = (): void => void filter.stdin.write(Buffer.alloc(2 ** 20), (failure) => (failure ? resolve(failure) : write()));
    write();
  });
  expect(error).toMatchObject({ code: expect.stringMatching(/EPIPE|ECONNRESET/) });
  filter.stdout.resume();
  expect(await filter.ended()).toMatchObject({ exitCode: 5 });
});

test('a program that says too much is ended, and its beginning kept', async () => {
  const filter = await start('yes >&2');
  filter.stdout.resume();
  const { signal, stderr } = await filter.ended();
  expect(signal).toBe('SIGKILL');
  expect(stderr).toHaveLength(4_096);
});

test.each(['abort', 'dispose'])('%s ends it with all that it started', async (how) => {
  const controller = new AbortController();
  const duration = `986.${process.pid}`;
  const filter = await start(`sleep ${duration} & echo started; wait`, controller.signal);
  await new Promise((resolve) => {
    filter.stdout.once('data', resolve);
  });
  await waitFor(() => isRunning('sleep', duration), { timeoutMs: 20_000, what: 'child' });
  if (how === 'abort') controller.abort();
  else await filter[Symbol.asyncDispose]();
  await waitFor(() => !isRunning('sleep', duration), { timeoutMs: 20_000, what: 'end of the child' });
  expect(await filter.ended()).toMatchObject({ signal: 'SIGKILL' });
});
