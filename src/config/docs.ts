import type { z } from 'zod';
import { configKeys, shapeOf, variableOf } from './environment.ts';
import { mappingFileSchema } from './images.ts';
import { configSchema } from './schema.ts';

/** The page docs/configuration.md, made from the schema. */
export function renderConfigDocs(): string {
  const defaults = configSchema.parse({});
  const mapping = mappingFileSchema.shape;
  const rows = configKeys().map((path) => {
    const value = path.reduce<unknown>((tree, key) => (tree as Record<string, unknown>)[key], defaults);
    const shown = value === undefined ? '' : `\`${JSON.stringify(value)}\``;
    return `| \`${path.join('.')}\` | ${shown} | \`${variableOf(path)}\` | ${descriptionOf(path)} |`;
  });
  return [
    '# Configuration',
    '',
    '<!-- Generated from src/config/schema.ts by `npm run gen`. Do not edit. -->',
    '',
    'Read in this order, the last one wins: `/etc/vmlet/config.yaml` (another by `--config FILE`), drop-ins',
    '`/etc/vmlet/conf.d/*.yaml` by name (another directory by `--config-dir DIR`), environment variables, and flags',
    '`--set key=value`. Values of variables and flags are read as YAML. Mappings are merged by key, lists are replaced as a whole.',
    'Unknown keys and variables are errors. `vmlet --check-config` prints all problems, each with its key and its source, and exits 1.',
    '',
    'Bytes are whole numbers or quantities (`512Mi`, `10Gi`); durations are milliseconds or text (`500ms`, `30s`, `5m`).',
    '',
    '| key | default | variable | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    ...table('An entry of `images.sources`', mapping.sources.unwrap().element),
    ...table('A profile in `images.transports`', mapping.transports.unwrap().valueType),
    ...table('A file of `images.mappingDir`', mappingFileSchema),
  ].join('\n');
}

function schemaAt(path: readonly string[]): z.ZodType | undefined {
  return path.reduce<z.ZodType | undefined>((schema, key) => (schema ? shapeOf(schema)?.[key] : undefined), configSchema);
}

function descriptionOf(path: readonly string[]): string {
  return schemaAt(path)?.description ?? '';
}

function table(what: string, { shape }: { readonly shape: Readonly<Record<string, z.ZodType>> }): string[] {
  const rows = Object.entries(shape).map(([key, schema]) => {
    const byDefault: unknown = schema.safeParse(undefined).data;
    return `| \`${key}\` | ${isShown(byDefault) ? `\`${JSON.stringify(byDefault)}\`` : ''} | ${schema.description ?? ''} |`;
  });
  return [`${what} has these keys:`, '', '| key | default | meaning |', '| --- | --- | --- |', ...rows, ''];
}

/** An empty list or mapping says nothing in a table. */
function isShown(value: unknown): boolean {
  return value !== undefined && !(typeof value === 'object' && value !== null && Object.keys(value).length === 0);
}
