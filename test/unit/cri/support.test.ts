import { describe, expect, test } from 'vitest';
import { PodSandboxConfigSchema, RuntimeService } from '../../../src/gen/runtime/v1/api_pb.js';
import { builtRpcs } from '../../../src/cri/rpc/built.ts';
import { below, fieldRows, formatSupport } from '../../../src/cri/support.ts';
import { allMethods, pathOf } from '../../../src/cri/table.ts';
import { renderSupportDocs } from '../../../src/cri/cri.ts';

describe('every method that is built', () => {
  test('is a method of CRI v1, once', () => {
    const paths = builtRpcs.map(({ method }) => pathOf(method));
    expect(new Set(paths).size).toBe(paths.length);
    expect(allMethods.map(pathOf)).toEqual(expect.arrayContaining(paths));
    expect(paths.length).toBeGreaterThanOrEqual(24);
  });

  test.each(builtRpcs.map((one) => [one.method.name, one] as const))(
    '%s says what it does with every field of its request',
    (_name, one) => {
      const silent = fieldRows(one.method, one.fields).filter(({ support }) => support === undefined);
      expect(silent).toEqual([]);
    },
  );

  test.each(builtRpcs.map((one) => [one.method.name, one] as const))('%s declares no field that there is not', (_name, one) => {
    const everything = fieldRows(one.method, allLeaves(one.method)).map(({ path }) => path);
    const unknown = Object.keys(one.fields).filter((path) => !everything.some((known) => known === path || known.startsWith(`${path}.`)));
    expect(unknown).toEqual([]);
  });
});

/** Declarations that make `fieldRows` show fields down to four levels. */
function allLeaves(method: (typeof builtRpcs)[number]['method']): Record<string, 'honoured'> {
  const paths: string[] = [];
  const walk = (fields: typeof method.input.fields, prefix: string, depth: number): void => {
    for (const field of fields) {
      const path = `${prefix}${field.name}`;
      paths.push(path);
      if (field.message && field.fieldKind !== 'map' && depth < 5) walk(field.message.fields, `${path}.`, depth + 1);
    }
  };
  walk(method.input.fields, '', 0);
  return Object.fromEntries(paths.map((path) => [path, 'honoured']));
}

describe('rows', () => {
  const { runPodSandbox } = RuntimeService.method;

  test('a field without declaration shows as such', () => {
    const rows = fieldRows(runPodSandbox, { config: 'honoured' });
    expect(rows).toEqual([
      { path: 'config', support: 'honoured' },
      { path: 'runtime_handler', support: undefined },
    ]);
  });

  test('a declaration holds for what lies below it and has none of its own', () => {
    const rows = fieldRows(runPodSandbox, { config: 'honoured', 'config.hostname': { refused: 'all' }, runtime_handler: 'honoured' });
    // `windows` has a declaration that holds everywhere.
    expect(rows.filter(({ support }) => support === 'honoured')).toHaveLength(PodSandboxConfigSchema.fields.length - 2 + 1);
    expect(rows.find(({ path }) => path === 'config.hostname')?.support).toEqual({ refused: 'all' });
  });

  test('declarations can be moved below a field', () => {
    expect(below('a.b', { c: 'honoured', 'd.e': { ignored: 'x' } })).toEqual({ 'a.b.c': 'honoured', 'a.b.d.e': { ignored: 'x' } });
  });

  test('are told with their reason', () => {
    expect(formatSupport('honoured')).toBe('honoured');
    expect(formatSupport({ ignored: 'why' })).toBe('ignored: why');
    expect(formatSupport({ refused: 'what' })).toBe('refused: what');
  });
});

test('the page names every method once', () => {
  const page = renderSupportDocs();
  for (const { parent, name } of allMethods) expect(page.split(`| ${parent.name}.${name} |`)).toHaveLength(2);
  expect(page).toContain('| RuntimeService.ExecSync | UNIMPLEMENTED |');
  expect(page).toContain('| `config.linux.sysctls` | refused: ');
});
