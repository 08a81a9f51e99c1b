import { Command, CommanderError } from 'commander';
import { messageOf } from '../lib/errno.ts';
import { vmletVersion } from '../lib/version.ts';
import { addImagesVerify } from './images-verify.ts';
import { exitCodes, type CtlContext } from './context.ts';

export type { CtlContext } from './context.ts';

/**
 * Runs `vmletctl` with these arguments and answers its exit code: 0 done (or accepted), 1 refused, 2 wrong usage or what kept it from answering,
 * whose text goes to stderr.
 */
export async function runCtl(args: readonly string[], context: CtlContext): Promise<number> {
  let exitCode: number = exitCodes.misused;
  const command = new Command('vmletctl')
    .description("operator's command of vmlet")
    .version(vmletVersion)
    .exitOverride()
    .configureOutput({ writeOut: context.stdout, writeErr: context.stderr });
  const images = command.command('images').description('disk images');
  addImagesVerify(images, context, (code) => {
    exitCode = code;
  });
  try {
    await command.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.misused;
    context.stderr(`vmletctl: ${messageOf(error)}\n`);
    return exitCodes.misused;
  }
}
