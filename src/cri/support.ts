import type { DescField, DescMessage, DescMethod } from '@bufbuild/protobuf';

/** What is done with a field of a request. */
export type Support = 'honoured' | { readonly ignored: string } | { readonly refused: string };

/** By field path (`config.linux.sysctls`); an entry holds for all fields below it that have none of their own. */
export type FieldSupport = Readonly<Record<string, Support>>;

/** Windows fields are told once, not in each row. */
const windows: Support = { ignored: 'Windows only' };

/** The same declarations for fields that lie below `prefix`. */
export function below(prefix: string, fields: FieldSupport): FieldSupport {
  return Object.fromEntries(Object.entries(fields).map(([path, support]) => [`${prefix}.${path}`, support]));
}

/** A row of the table in docs/cri-support.md. */
export interface FieldRow {
  readonly path: string;
  /** `undefined` when nothing was declared: a test fails then. */
  readonly support: Support | undefined;
}

/** Every field that a request can carry, with what is declared for it; a message is one row where nothing below it differs. */
export function fieldRows(method: DescMethod, fields: FieldSupport): readonly FieldRow[] {
  return method.input.fields.flatMap((field) => rowsOf(field, '', fields));
}

function rowsOf(field: DescField, prefix: string, fields: FieldSupport, inherited?: Support): FieldRow[] {
  const path = prefix === '' ? field.name : `${prefix}.${field.name}`;
  const support = fields[path] ?? (field.name === 'windows' ? windows : inherited);
  const inner = innerMessage(field);
  const below = Object.keys(fields).some((key) => key.startsWith(`${path}.`));
  if (!inner || (support !== undefined && !below)) return [{ path, support }];
  return inner.fields.flatMap((one) => rowsOf(one, path, fields, support));
}

function innerMessage(field: DescField): DescMessage | undefined {
  if (field.fieldKind === 'message') return field.message;
  return field.fieldKind === 'list' && field.listKind === 'message' ? field.message : undefined;
}

/** One word and the reason, for the page. */
export function formatSupport(support: Support | undefined): string {
  if (support === undefined || support === 'honoured') return support ?? '';
  return 'ignored' in support ? `ignored: ${support.ignored}` : `refused: ${support.refused}`;
}
