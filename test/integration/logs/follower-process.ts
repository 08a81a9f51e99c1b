// Follows one console until it is killed. Argument: a ConsoleLogRequest as JSON. Standard input: a line `reopen` or `finish`; each is
// answered on standard output when it is done (`finish` with the peak of memory in KiB), and `following` when following has begun.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { silentLog } from '../../../src/lib/log.ts';
import { makeLogs, type ConsoleLogRequest } from '../../../src/logs/logs.ts';

const signal = AbortSignal.timeout(120_000);
const request = JSON.parse(process.argv[2] ?? '') as ConsoleLogRequest;
const console = await makeLogs({ maxBacklogBytes: 2 ** 30 }, { log: silentLog }).follow(request, signal);
process.stdout.write('following\n');

for await (const command of createInterface({ input: process.stdin })) {
  if (command === 'reopen') await console.reopen(signal);
  if (command === 'finish') break;
  process.stdout.write(`${command}\n`);
}
await console.finish();
// Not resourceUsage().maxRSS, which begins with that of the process that started this one.
const [, peakKiB] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
process.stdout.write(`finish ${peakKiB}\n`);
