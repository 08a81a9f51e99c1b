import { readFile, writeFile } from 'node:fs/promises';
import { isErrno } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';

/**
 * Gives a process its score for the kernel's choice when memory runs out (proc(5), oom_score_adj). Without CAP_SYS_RESOURCE a score
 * cannot be lowered below the one that vmlet has itself: then it gets that one, as containerd does by `restrict_oom_score_adj`. `procDir`
 * is /proc.
 */
export async function setOomScore(pid: number, score: number, log: Log, procDir = '/proc'): Promise<void> {
  const file = `${procDir}/${pid}/oom_score_adj`;
  try {
    await writeFile(file, String(score));
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EPERM')) throw error;
    const own = (await readFile(`${procDir}/self/oom_score_adj`, 'utf8')).trim();
    log.warn({ pid, wanted: score, given: Number(own) }, 'vmlet may not give so low an OOM score: it lacks CAP_SYS_RESOURCE');
    await writeFile(file, own);
  }
}
