import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { setOomScore } from '../../../src/hypervisor/oom-score.ts';
import { silentLog } from '../../../src/lib/log.ts';

it('a score is given as asked, and one that vmlet may not give is its own, which the log tells', async () => {
  const child = spawn('sleep', ['1000']);
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  const score = (of: number | 'self'): number => Number(readFileSync(`/proc/${of}/oom_score_adj`, 'utf8'));
  const warnings: object[] = [];
  const log = { ...silentLog, warn: (facts: object) => void warnings.push(facts) };
  await setOomScore(pid, 900, log);
  expect([score(pid), warnings]).toEqual([900, []]);
  await setOomScore(pid, -997, log);
  // With CAP_SYS_RESOURCE it is as asked.
  const isRestricted = warnings.length > 0;
  expect([score(pid), warnings]).toEqual(isRestricted ? [score('self'), [{ pid, wanted: -997, given: score('self') }]] : [-997, []]);
  await expect(setOomScore(4_000_000, 0, log)).rejects.toThrow('ENOENT');
});
