import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';
import { request, type TestNode } from './node.ts';

/** A step of a pod's life: a program that the daemon starts, or a change that it makes to files. */
export interface Step {
  readonly kind: 'program' | 'file';
  readonly name: string;
}

/** What becomes of a step: the daemon is killed before it, or while its program runs; or the step fails. */
export type Disturbance = 'killed before' | 'killed during' | 'failed';

/** A pod's life on a tap, and its step, counted from 1, that is disturbed; 0 for none. */
export interface Life {
  readonly sandboxId: string;
  readonly tap: string;
  readonly nth: number;
  readonly how: Disturbance;
}

/** Leads a pod's life in a daemon of its own; answers its steps, or that the daemon was killed. */
export async function live(node: TestNode, { sandboxId, tap, nth, how }: Life): Promise<readonly Step[] | 'killed'> {
  const { netnsDir, stateDir, runtimeDir, confDir, binDir } = node;
  const cni = { confDir, binDirs: [binDir], timeoutMs: 20_000, cacheDir: join(stateDir, 'cni'), retryMs: 60_000 };
  const life = {
    options: { netnsDir, stateDir, runtimeDir, cni },
    request: request({
      sandboxId,
      portMappings: [{ protocol: 'TCP', containerPort: 80, hostPort: 8080, hostIp: '' }],
      annotations: { 'kubernetes.io/ingress-bandwidth': '10M', 'kubernetes.io/egress-bandwidth': '10M' },
    }),
    tap,
    nth,
    how,
  };
  return new Promise((resolve, reject) => {
    const program = join(import.meta.dirname, 'pod-life.ts');
    execFile(process.execPath, [program, JSON.stringify(life)], (error, stdout, stderr) => {
      if (error?.signal === 'SIGKILL') resolve('killed');
      else if (error) reject(new Error(`step ${nth}, ${how}: ${stderr}`));
      else resolve(z.array(z.object({ kind: z.enum(['program', 'file']), name: z.string() })).parse(JSON.parse(stdout)));
    });
  });
}
