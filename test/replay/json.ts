import type { JsonObject, JsonValue } from '@bufbuild/protobuf';

/** The value at a path such as `a.b`, `a[0].b` or `a[key=value].b`; `undefined` where it or something before it is absent. */
export function valueAt(from: JsonValue | undefined, path: string): JsonValue | undefined {
  let value = from;
  for (const step of path.split(/\.(?![^[]*\])/)) {
    const [, name = '', selector] = /^([^[]*)(?:\[(.*)\])?$/.exec(step) ?? [];
    value = isObject(value) ? value[name] : undefined;
    if (selector !== undefined) value = select(listOf(value), selector);
  }
  return value;
}

/** The text at a path; empty where there is none. */
export function textAt(from: JsonValue | undefined, path: string): string {
  const found = valueAt(from, path);
  return typeof found === 'string' ? found : '';
}

/** True for JSON that is an object. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A repeated field's items; none where it is absent. */
export function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** True unless the value is absent, empty or zero, as protobuf leaves it out. */
export function isSet(value: JsonValue | undefined): boolean {
  if (value === undefined || value === null || value === '' || value === '0' || value === 0 || value === false) return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

function select(items: readonly JsonValue[], selector: string): JsonValue | undefined {
  const [key = '', wanted] = selector.split('=');
  return wanted === undefined ? items[Number(key)] : items.find((item) => textAt(item, key) === wanted);
}
