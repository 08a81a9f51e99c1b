import { InvalidArgumentError, Option, type Command } from 'commander';
import { defaultConfig } from '../config/config.ts';
import { diskReadings, verifyDiskFile, type Verdict, type VerifyOptions } from '../images/images.ts';
import { parseBytes } from '../lib/quantity.ts';
import { exitCodes, type CtlContext } from './context.ts';
import { verdictJson, verdictText } from './verdict-text.ts';

interface Flags {
  readonly format: Verdict['format'];
  readonly maxVirtualSize: number;
  readonly maxBytes: number;
  readonly output: 'text' | 'json';
}

/** Adds `images verify FILE`: what a node's door says of a disk image or a layer, so that its author can know before it is published. */
export function addImagesVerify(images: Command, context: CtlContext, done: (exitCode: number) => void): void {
  const { maxBytes, maxVirtualSize } = defaultConfig().images;
  images
    .command('verify')
    .description('say whether a node would take a disk image, or the layer that it is in; needs no daemon')
    .argument('<file>', 'qcow2 or other disk, or a layer (tar), also compressed by gzip, zstd or xz')
    .addOption(new Option('--format <format>', 'how the disk is to be read; never guessed').choices(diskReadings).default('qcow2'))
    .addOption(bytesOption('--max-virtual-size <bytes>', 'largest disk that a guest may see (images.maxVirtualSize)', maxVirtualSize))
    .addOption(bytesOption('--max-bytes <bytes>', 'largest file, also unpacked (images.maxBytes)', maxBytes))
    .addOption(new Option('-o, --output <output>', 'how the answer is written').choices(['text', 'json']).default('text'))
    .addHelpText('after', helpAfter)
    .action(async (file: string, flags: Flags) => {
      if (!context.isRoot) throw new Error('must be run as root: what reads the image is confined to a user and namespaces of its own');
      const options: VerifyOptions = {
        format: flags.format,
        maxBytes: flags.maxBytes,
        maxVirtualBytes: flags.maxVirtualSize,
        tempDir: context.tempDir,
      };
      const verdict = await verifyDiskFile(file, options, context.signal);
      context.stdout(flags.output === 'json' ? verdictJson(file, verdict) : verdictText(file, verdict));
      done(verdict.verdict === 'accepted' ? exitCodes.done : exitCodes.refused);
    });
}

const helpAfter = `
Exit codes: 0 accepted, 1 refused, 2 wrong usage or the file could not be judged.
A layer is unpacked into a temporary file (TMPDIR says where), which is removed.`;

function bytesOption(flags: string, description: string, byDefault: number): Option {
  return new Option(flags, description).default(byDefault, quantity(byDefault)).argParser((text) => {
    const bytes = parseBytes(text);
    if (bytes === undefined) throw new InvalidArgumentError('must be bytes as a whole number or a quantity like 512Mi or 10Gi.');
    return bytes;
  });
}

function quantity(bytes: number): string {
  return bytes % 2 ** 40 === 0 ? `${bytes / 2 ** 40}Ti` : `${bytes / 2 ** 30}Gi`;
}
