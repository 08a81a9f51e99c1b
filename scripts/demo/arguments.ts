import { parseArgs } from 'node:util';

/** What the demo is asked to do; `dir` is a node's directory, all that were kept without it. */
export type DemoRequest =
  | { readonly action: 'run'; readonly keep: boolean }
  | { readonly action: 'stop'; readonly dir: string | undefined }
  | { readonly action: 'help' };

/** The text of `--help`. */
export const usage = `npm run demo                    start a VM as a pod, show it, clean up
npm run demo -- --keep          the same, but leave it running
npm run demo -- --stop [DIR]    end what --keep has left running (in DIR)
`;

/** Reads the command line. Throws for unknown arguments. */
export function parseDemoArguments(argv: readonly string[]): DemoRequest {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      keep: { type: 'boolean', default: false },
      stop: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [dir, ...more] = positionals;
  if (values.help) return { action: 'help' };
  if (values.keep && values.stop) throw new Error('--keep and --stop exclude each other');
  if (more.length > 0 || (dir !== undefined && !values.stop)) throw new Error(`unexpected argument ${JSON.stringify(more[0] ?? dir)}`);
  return values.stop ? { action: 'stop', dir } : { action: 'run', keep: values.keep };
}
