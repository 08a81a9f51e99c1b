import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { globSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../../src/lib/durable-file.ts';
import { runProgram } from '../../src/lib/run-program.ts';
import { lockFile } from './lock.ts';

/** What an image was built from; a change of `recipe` or `packages` makes it out of date. */
interface Provenance {
  /** SHA-256 over the recipe's files. */
  readonly recipe: string;
  /** What `packages.sh` printed. */
  readonly packages: string;
  /** State of apt's lists when `packages` was last compared with them; while it is the same, packages are the same. */
  readonly lists: string;
}

const here = import.meta.dirname;
const recipeFiles = ['*.sh', 'syslinux.cfg', 'initramfs/**', 'root/**'];

/** Directory of built guest images: `VMLET_IMAGE_CACHE`, else `.cache/images` in the checkout. */
function cacheDir(): string {
  return process.env['VMLET_IMAGE_CACHE'] ?? join(here, '..', '..', '.cache', 'images');
}

/**
 * Answers the path of the tiny image (qcow2), building it if it is missing or its recipe or packages have changed. Several processes may
 * ask at once: one builds, the others wait for it. `report` gets one line for each step. Throws when the build fails.
 */
export async function ensureTinyImage(report: (line: string) => void, signal: AbortSignal): Promise<string> {
  const dir = cacheDir();
  const image = join(dir, 'tiny.qcow2');
  const upToDate = (how: string): string => {
    report(`tiny: ${image} is ${how}`);
    return image;
  };
  const recipe = recipeDigest();
  if (isFresh(await readProvenance(image), recipe)) return upToDate('up to date');

  await mkdir(join(dir, 'packages'), { recursive: true });
  await using _lock = await lockFile(join(dir, 'tiny.lock'), signal);
  const known = await readProvenance(image);
  if (isFresh(known, recipe)) return upToDate('up to date: another process has just built it');
  const { stdout: packages } = await runProgram(join(here, 'packages.sh'), [], { signal, timeoutMs: 120_000 });
  const made: Provenance = { recipe, packages, lists: listsState() };
  if (known?.recipe !== recipe || known.packages !== packages) await build(image, packages, report, signal);
  await writeDurably(provenanceFile(image), JSON.stringify(made), 0o644);
  return upToDate('ready');
}

async function build(image: string, packages: string, report: (line: string) => void, signal: AbortSignal): Promise<void> {
  const list = `${image}.packages`;
  await writeDurably(list, packages, 0o644);
  const downloads = join(image, '..', 'packages');
  const run = execa(join(here, 'build.sh'), [list, downloads, image], { cancelSignal: signal, timeout: 600_000, stdin: 'ignore' });
  for await (const line of run) report(line);
}

function recipeDigest(): string {
  const hash = createHash('sha256');
  const files = recipeFiles.flatMap((pattern) => globSync(pattern, { cwd: here })).filter((file) => statSync(join(here, file)).isFile());
  for (const file of files.toSorted())
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(here, file)))
      .update('\0');
  return hash.digest('hex');
}

/** Names, sizes and times of apt's package lists; empty when there are none. */
function listsState(): string {
  const dir = '/var/lib/apt/lists';
  const describe = (file: string): string => {
    const { size, mtimeMs } = statSync(join(dir, file));
    return `${file} ${size} ${mtimeMs}`;
  };
  return globSync('*_Packages*', { cwd: dir }).toSorted().map(describe).join('\n');
}

/** Without lists nothing newer is known: the image stands. */
function isFresh(known: Provenance | undefined, recipe: string): boolean {
  const lists = listsState();
  return known?.recipe === recipe && (lists === '' || lists === known.lists);
}

function provenanceFile(image: string): string {
  return `${image}.json`;
}

async function readProvenance(image: string): Promise<Provenance | undefined> {
  try {
    statSync(image);
    const { recipe, packages, lists } = JSON.parse(await readFile(provenanceFile(image), 'utf8')) as Partial<Provenance>;
    return recipe !== undefined && packages !== undefined && lists !== undefined ? { recipe, packages, lists } : undefined;
  } catch {
    return undefined; // never built, or half-way: it is built again
  }
}
