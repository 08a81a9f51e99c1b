import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { globSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../src/lib/durable-file.ts';
import { runProgram } from '../src/lib/run-program.ts';
import { lockFile } from './lock.ts';

/** How a guest image is made. In its directory, `packages.sh` prints what it is made of and `build.sh PACKAGES DOWNLOADS OUT` makes it. */
export interface ImageRecipe {
  /** Directory beside this file, and the image's name. */
  readonly name: string;
  /** The recipe's own files: patterns in its directory. */
  readonly files: readonly string[];
  /** Debian packages that are needed for this image alone; what is missing of them is installed before it is built. */
  readonly hostPackages?: readonly string[];
  /** Longest time of `build.sh`, milliseconds. */
  readonly buildTimeoutMs: number;
}

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
const checkout = join(here, '..');

/** Files of this directory that take part in every build. */
const sharedFiles = ['download.sh'];

/** Directory of built guest images: `VMLET_IMAGE_CACHE`, else `.cache/images` in the checkout. */
function cacheDir(): string {
  return process.env['VMLET_IMAGE_CACHE'] ?? join(checkout, '.cache', 'images');
}

/**
 * Answers the path of a guest image (qcow2), building it if it is missing or its recipe or packages have changed. Several processes may
 * ask at once: one builds, the others wait for it. `report` gets one line for each step. Throws when the build fails.
 */
export async function ensureImage(recipe: ImageRecipe, report: (line: string) => void, signal: AbortSignal): Promise<string> {
  const { name } = recipe;
  const dir = cacheDir();
  const image = join(dir, `${name}.qcow2`);
  const upToDate = (how: string): string => {
    report(`${name}: ${image} is ${how}`);
    return image;
  };
  const digest = recipeDigest(recipe);
  if (isFresh(await readProvenance(image), digest)) return upToDate('up to date');

  await mkdir(join(dir, 'packages'), { recursive: true });
  await using _lock = await lockFile(join(dir, `${name}.lock`), signal);
  const known = await readProvenance(image);
  if (isFresh(known, digest)) return upToDate('up to date: another process has just built it');
  const { hostPackages = [] } = recipe;
  if (hostPackages.length > 0)
    await runLines(join(checkout, 'scripts', 'install-packages.sh'), [name, ...hostPackages], { report, signal });
  const { stdout: packages } = await runProgram(join(here, name, 'packages.sh'), [], { signal, timeoutMs: 120_000 });
  const made: Provenance = { recipe: digest, packages, lists: listsState() };
  if (known?.recipe !== digest || known.packages !== packages) {
    const list = `${image}.packages`;
    await writeDurably(list, packages, 0o644);
    const build = [list, join(dir, 'packages'), image];
    await runLines(join(here, name, 'build.sh'), build, { report, signal, timeoutMs: recipe.buildTimeoutMs });
  }
  await writeDurably(provenanceFile(image), JSON.stringify(made), 0o644);
  return upToDate('ready');
}

interface Run {
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
}

/** Runs a program whose stdout is for people; its stderr is in the error. */
async function runLines(program: string, args: readonly string[], { report, signal, timeoutMs = 600_000 }: Run): Promise<void> {
  const run = execa(program, args, { cancelSignal: signal, timeout: timeoutMs, stdin: 'ignore' });
  for await (const line of run) report(line);
}

function recipeDigest({ name, files: own }: ImageRecipe): string {
  const hash = createHash('sha256');
  const patterns = [...sharedFiles, ...own.map((pattern) => join(name, pattern))];
  const files = patterns.flatMap((pattern) => globSync(pattern, { cwd: here })).filter((file) => statSync(join(here, file)).isFile());
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
