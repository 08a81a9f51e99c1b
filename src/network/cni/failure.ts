import { z } from 'zod';
import { VmletError } from '../../model/errors.ts';

/** How one run of a plugin ended. */
export interface PluginRun {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  /** `exit`: it ended by itself; `deadline` and `flood`: it was killed, with its process group. */
  readonly ended: 'exit' | 'deadline' | 'flood';
  /** Where nothing ended it: it hangs in the kernel. */
  readonly stuck?: StuckPlugin;
}

/** A plugin, or what it has started, that SIGKILL has not ended. It begins nothing more: the signal comes before its next instruction. */
export interface StuckPlugin {
  /** Its process group. */
  readonly pgid: number;
  readonly isGone: () => Promise<boolean>;
}

const errorSchema = z.looseObject({ code: z.int(), msg: z.string().nullish(), details: z.string().nullish() });

/** A plugin that did not do what it was asked; `problem` completes the sentence "CNI plugin X, ADD: ...". */
export function cniFailure(
  plugin: string,
  command: string,
  problem: string,
  more: { readonly cniCode?: number; readonly details?: string; readonly cause?: unknown } = {},
): VmletError {
  const { cniCode, details } = more;
  const facts = {
    code: 'CNI_FAILED' as const,
    plugin,
    ...(cniCode === undefined ? {} : { cniCode }),
    ...(details ? { details } : {}),
  };
  const text = `CNI plugin ${plugin}, ${command}: ${problem}${details ? `; ${details}` : ''}`;
  return new VmletError(facts, text, { cause: more.cause });
}

/** The failure of a run, with code, message and details of the plugin's error (CNI specification, section 5); `undefined` when it succeeded. */
export function failureOf(plugin: string, command: string, run: PluginRun, timeoutMs: number): VmletError | undefined {
  const said = run.stderr.trim().slice(-2_000);
  const killed = run.stuck ? `and SIGKILL does not end process group ${run.stuck.pgid}` : 'killed';
  if (run.ended === 'deadline') return cniFailure(plugin, command, `no answer within ${timeoutMs} ms, ${killed}`, { details: said });
  if (run.ended === 'flood') return cniFailure(plugin, command, `too much output, ${killed}`, { details: said });
  if (run.exitCode === 0) return undefined;
  const error = parseError(run.stdout);
  if (error) {
    const { code: cniCode, msg, details } = error;
    const heard = said === '' ? '' : `stderr: ${said}`;
    const more = [details ?? '', heard].filter((each) => each !== '').join('; ');
    return cniFailure(plugin, command, `error ${cniCode}: ${(msg ?? 'no message').slice(0, 2_000)}`, {
      cniCode,
      details: more.slice(0, 4_000),
    });
  }
  const how = run.signal === undefined ? `exit status ${run.exitCode ?? 'unknown'}` : `ended by ${run.signal}`;
  return cniFailure(plugin, command, `${how} without a CNI error`, { details: said || run.stdout.trim().slice(0, 2_000) });
}

/** True for a plugin that has come to an end, and has told why it failed. */
export function isReported(error: unknown): boolean {
  return error instanceof VmletError && error.facts.code === 'CNI_FAILED' && error.facts.cniCode !== undefined;
}

/** True for the error 3, which says that there is nothing of the container to clean up (CNI specification, section 5). */
export function isUnknownContainer(error: unknown): boolean {
  return error instanceof VmletError && error.facts.code === 'CNI_FAILED' && error.facts.cniCode === 3;
}

function parseError(stdout: string): z.infer<typeof errorSchema> | undefined {
  try {
    return errorSchema.safeParse(JSON.parse(stdout)).data;
  } catch {
    return undefined; // not JSON: the caller quotes what was said
  }
}
