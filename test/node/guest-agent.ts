import { virsh } from '../lib/virsh.ts';
import { waitFor } from '../lib/wait.ts';

/** A program in the guest, run by its agent as root. */
export interface GuestProgram {
  readonly path: string;
  readonly args: readonly string[];
}

/** How a program in the guest ended. */
export interface GuestOutcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program in a guest through its agent (`guest-exec` of QEMU's agent protocol), past the daemon. Throws when it has not ended
 * within `timeoutMs`.
 */
export async function runInGuest(uri: string, domain: string, { path, args }: GuestProgram, timeoutMs = 60_000): Promise<GuestOutcome> {
  const ask = async (execute: string, parameters: object): Promise<Record<string, unknown>> => {
    const answer = await virsh(uri, 'qemu-agent-command', domain, JSON.stringify({ execute, arguments: parameters }));
    return (JSON.parse(answer) as { return: Record<string, unknown> }).return;
  };
  const { pid } = await ask('guest-exec', { path, arg: args, 'capture-output': true });
  const ended = async (): Promise<Record<string, unknown> | false> => {
    const status = await ask('guest-exec-status', { pid });
    return status['exited'] === true && status;
  };
  const status = await waitFor(ended, { timeoutMs, what: `end of ${path} in the guest`, everyMs: 200 });
  return { exitCode: Number(status['exitcode']), stdout: text(status['out-data']), stderr: text(status['err-data']) };
}

function text(base64: unknown): string {
  return typeof base64 === 'string' ? Buffer.from(base64, 'base64').toString('utf8') : '';
}
