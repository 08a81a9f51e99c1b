import { z } from 'zod';
import { messageOf } from '../../lib/errno.ts';
import { Refusal } from '../failures.ts';

/** What `qemu-img info --output=json` prints of a disk, as far as the door reads it (QEMU's qapi/block-core.json, ImageInfo). */
const infoSchema = z.object({
  format: z.string(),
  'virtual-size': z.int().positive(),
  encrypted: z.boolean().optional(),
  'dirty-flag': z.boolean().optional(),
  'backing-filename': z.unknown().optional(),
  'full-backing-filename': z.unknown().optional(),
  'backing-filename-format': z.unknown().optional(),
  'backing-image': z.unknown().optional(),
  snapshots: z.array(z.unknown()).optional(),
  'format-specific': z.object({
    type: z.string(),
    data: z.object({
      corrupt: z.boolean().optional(),
      'data-file': z.unknown().optional(),
      'data-file-raw': z.boolean().optional(),
      encrypt: z.unknown().optional(),
      bitmaps: z.array(z.unknown()).optional(),
    }),
  }),
});

type Info = z.output<typeof infoSchema>;

const rules: readonly { readonly name: string; readonly says: string; readonly holds: (info: Info) => boolean }[] = [
  {
    name: 'qemu-format',
    says: 'does not read it as qcow2',
    holds: (info) => info.format === 'qcow2' && info['format-specific'].type === 'qcow2',
  },
  {
    name: 'backing-file',
    says: 'finds a backing file',
    holds: (info) =>
      [info['backing-filename'], info['full-backing-filename'], info['backing-filename-format'], info['backing-image']].every(isAbsent),
  },
  {
    name: 'data-file',
    says: 'finds its data in another file',
    holds: ({ 'format-specific': { data } }) => isAbsent(data['data-file']) && data['data-file-raw'] !== true,
  },
  {
    name: 'encryption',
    says: 'finds it encrypted',
    holds: (info) => info.encrypted !== true && isAbsent(info['format-specific'].data.encrypt),
  },
  { name: 'internal-snapshots', says: 'finds internal snapshots', holds: (info) => (info.snapshots ?? []).length === 0 },
  { name: 'bitmaps', says: 'finds persistent bitmaps', holds: (info) => (info['format-specific'].data.bitmaps ?? []).length === 0 },
  { name: 'corrupt', says: 'finds it marked as corrupt', holds: (info) => info['format-specific'].data.corrupt !== true },
  { name: 'dirty', says: 'finds it marked as dirty', holds: (info) => info['dirty-flag'] !== true },
];

/** Checks again, by QEMU's reading, what the header said. `virtualSizeBytes` is our own reading of the size. Throws `Refusal`. */
export function judgeInfo(stdout: string, virtualSizeBytes: number): void {
  const info = parseInfo(stdout);
  for (const rule of rules) {
    if (!rule.holds(info)) throw new Refusal(rule.name, `qemu-img ${rule.says}`);
  }
  if (info['virtual-size'] !== virtualSizeBytes)
    throw new Refusal('virtual-size', 'qemu-img finds another disk size than its header tells');
}

/** QEMU's version in what `qemu-img --version` prints; the whole first line, for distributions patch it. */
export function parseQemuVersion(stdout: string): string | undefined {
  return /^qemu-img version ([\x20-\x7e]{1,200})/.exec(stdout)?.[1]?.trim();
}

function parseInfo(stdout: string): Info {
  try {
    return infoSchema.parse(JSON.parse(stdout));
  } catch (error) {
    const problem = messageOf(error)
      .replaceAll(/[^\x20-\x7e]+/g, ' ')
      .slice(0, 100); // it may quote what QEMU quotes of the disk
    throw new Refusal('qemu-info', `qemu-img info does not answer what it should: ${problem}`, { cause: error });
  }
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}
