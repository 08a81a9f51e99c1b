// Checks the rules of the house: imports go down, siblings do not know each other, other rooms enter by the front door, no cycles.
import { existsSync, globSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseSync } from 'oxc-parser';

const floors: Readonly<Record<string, number>> = Object.fromEntries(
  [
    ['lib', 'gen'],
    ['libvirt', 'cgroup', 'records', 'model', 'config'],
    ['hypervisor', 'images', 'network', 'volumes', 'guest', 'logs'],
    ['pods'],
    ['cri', 'streaming', 'delegate', 'metrics', 'admin'],
    ['daemon', 'ctl'],
  ].flatMap((rooms, index) => rooms.map((room) => [room, index + 1])),
);
const open = new Set(['lib', 'gen', 'model']); // entered by any file

const root = process.argv[2] ?? 'src';
const files = globSync('**/*.ts', { cwd: root })
  .filter((file) => !file.startsWith('gen/'))
  .toSorted();
const graph = new Map(files.map((file) => [file, importsOf(file)]));
const found = [...graph].flatMap(([from, targets]) => targets.flatMap((to) => judge(from, to)));
found.push(...cycles());
for (const line of found) process.stderr.write(`${line}\n`);
const edges = [...graph.values()].flat().length;
const present = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.ts') && !file.endsWith('.d.ts'),
).length;
process.stdout.write(`rooms: ${files.length} of ${present} files, ${edges} imports, ${found.length} violations\n`);
// A checker that reads nothing also passes: it must have read every module there is, and found imports in them.
if (found.length > 0 || files.length < present || files.length === 0 || edges < files.length / 2) process.exitCode = 1;

function importsOf(file: string): string[] {
  const { module, errors } = parseSync(file, readFileSync(join(root, file), 'utf8'));
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
  const names = [
    ...module.staticImports.map((i) => i.moduleRequest.value), // `import type` included
    ...module.staticExports.flatMap((e) => e.entries.flatMap((entry) => entry.moduleRequest?.value ?? [])),
    ...module.dynamicImports.map((i) => readFileSync(join(root, file), 'utf8').slice(i.moduleRequest.start + 1, i.moduleRequest.end - 1)),
  ];
  return names.filter((name) => name.startsWith('.')).map((name) => relative(root, join(root, dirname(file), name)));
}

function judge(from: string, to: string): string[] {
  const say = (rule: string): string[] => [`${root}/${from} -> ${to}: ${rule}`];
  if (!existsSync(join(root, to))) return say('no such file');
  const [a, b] = [roomOf(from), roomOf(to)];
  if (a === b && a !== '') return [];
  if (b === '') return say('entry points are imported by nobody');
  const [mine, theirs] = [a === '' ? 7 : floors[a], floors[b]];
  if (mine === undefined || theirs === undefined) return say(`room ${mine === undefined ? a : b} is on no floor`);
  if (theirs > mine) return say(`floor ${mine} imports floor ${theirs}`);
  if (theirs === mine && mine !== 1 && b !== 'model') return say(`rooms of floor ${mine} do not import each other`);
  if (!open.has(b) && to !== `${b}/${b}.ts`) return say(`${b}/ is entered by ${b}/${b}.ts`);
  return [];
}

function roomOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] ?? '') : '';
}

function cycles(): string[] {
  const state = new Map<string, 'open' | 'done'>();
  const told: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (state.get(file) === 'done') return;
    if (state.get(file) === 'open') {
      told.push(`cycle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
      return;
    }
    state.set(file, 'open');
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    state.set(file, 'done');
  };
  for (const file of graph.keys()) visit(file, []);
  return told;
}
