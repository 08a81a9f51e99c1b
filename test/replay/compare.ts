import { isDeepStrictEqual } from 'node:util';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isSet, listOf, textAt, valueAt } from './json.ts';
import { livingFields, type Demand, type Demands, type ReadFields } from './read-fields.ts';

/** What is known of the comparison beyond the answers. */
export interface CompareOptions {
  /** True for a container that ends by itself: ours may have ended when the recorded one had not. */
  readonly endsByItself: (id: string) => boolean;
}

/** Compares an answer with the recorded one, both complete and in our ids; answers the differences, one line each. */
export function compareAnswers(read: ReadFields, recorded: JsonObject, ours: JsonObject, options: CompareOptions): string[] {
  const { fields = {}, items } = read;
  const ahead = isAhead(valueAt(recorded, 'status'), valueAt(ours, 'status'), options);
  const found = compareFields(ahead ? withoutLiving(fields) : fields, recorded, ours);
  if (!items) return found;
  const { list, key } = items;
  const byKey = (answer: JsonObject): Map<string, JsonValue> =>
    new Map(listOf(valueAt(answer, list)).map((item) => [textAt(item, key), item]));
  const [expected, actual] = [byKey(recorded), byKey(ours)];
  for (const [id, item] of expected) {
    const own = actual.get(id);
    if (own === undefined) found.push(`${list} lacks ${id}`);
    else {
      const demands = isAhead(item, own, options) ? withoutLiving(items.fields) : items.fields;
      found.push(...compareFields(demands, item, own).map((line) => `${list} ${id}: ${line}`));
    }
  }
  if (items.exact) found.push(...[...actual.keys()].filter((id) => !expected.has(id)).map((id) => `${list} has ${id} beside`));
  return found;
}

function compareFields(demands: Demands, recorded: JsonValue, ours: JsonValue): string[] {
  return Object.entries(demands).flatMap(([path, demand]) => {
    const around = path.slice(0, Math.max(0, path.lastIndexOf('.')));
    if (around !== '' && valueAt(recorded, around) === undefined) return [];
    const [expected, actual] = [valueAt(recorded, path), valueAt(ours, path)];
    return meets(demand, expected, actual) ? [] : [`${path} (${demand}): recorded ${show(expected)}, ours ${show(actual)}`];
  });
}

function meets(demand: Demand, recorded: JsonValue | undefined, ours: JsonValue | undefined): boolean {
  switch (demand) {
    case 'same':
      return isDeepStrictEqual(recorded, ours) || (!isSet(recorded) && !isSet(ours));
    case 'set':
      return isSet(ours);
    case 'alike':
      return isSet(recorded) === isSet(ours);
    case 'if recorded':
      return isSet(ours) || !isSet(recorded);
    case 'present':
      return ours !== undefined;
  }
}

const ages: Readonly<Record<string, number>> = { CONTAINER_CREATED: 0, CONTAINER_RUNNING: 1, CONTAINER_EXITED: 2 };

function isAhead(recorded: JsonValue | undefined, ours: JsonValue | undefined, { endsByItself }: CompareOptions): boolean {
  const age = (value: JsonValue | undefined): number => ages[textAt(value, 'state')] ?? -1;
  return age(recorded) >= 0 && age(ours) > age(recorded) && endsByItself(textAt(recorded, 'id'));
}

function withoutLiving(demands: Demands): Demands {
  const isLiving = (path: string): boolean => livingFields.some((field) => path === field || path === `status.${field}`);
  return Object.fromEntries(Object.entries(demands).filter(([path]) => !isLiving(path)));
}

function show(value: JsonValue | undefined): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
