import { fieldRows, formatSupport } from './support.ts';
import { allMethods, pathOf, type Rpc } from './table.ts';

/** The page docs/cri-support.md: every method of CRI v1, and every field of the requests that are built. */
export function renderSupport(rpcs: readonly Rpc[]): string {
  const built = new Map(rpcs.map((one) => [pathOf(one.method), one]));
  return [
    '# What vmlet does of CRI v1',
    '',
    '<!-- Generated from src/cri/ by `npm run gen`. Do not edit. -->',
    '',
    `${built.size} of the ${allMethods.length} methods of CRI v1 (0.37) are built; the others answer UNIMPLEMENTED, which a kubelet copes with.`,
    '',
    '| method | |',
    '| --- | --- |',
    ...allMethods.map((method) => `| ${method.parent.name}.${method.name} | ${built.has(pathOf(method)) ? 'built' : 'UNIMPLEMENTED'} |`),
    '',
    '## Fields of requests',
    '',
    '*Honoured*: does what CRI says. *Ignored*: taken without effect, for the reason given. *Refused*: INVALID_ARGUMENT (unless another code',
    'is given) when it asks for something; nothing is ignored without being told here.',
    ...rpcs.flatMap((one) => section(one)),
    '',
  ].join('\n');
}

function section(one: Rpc): string[] {
  const rows = fieldRows(one.method, one.fields);
  if (rows.length === 0) return [];
  return [
    '',
    `### ${one.method.name}`,
    '',
    '| field | |',
    '| --- | --- |',
    ...rows.map((row) => `| \`${row.path}\` | ${formatSupport(row.support)} |`),
  ];
}
