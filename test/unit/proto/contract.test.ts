import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ScalarType, type DescEnum, type DescField, type DescMessage, type DescMethod } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { file_runtime_v1_api as file } from '../../../src/gen/runtime/v1/api_pb.js';

interface Field {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly repeated?: true;
  readonly deprecated?: true;
  readonly sensitive?: true;
}
interface Method {
  readonly name: string;
  readonly request: string;
  readonly response: string;
  readonly serverStreaming?: true;
}
interface Contract {
  readonly package: string;
  readonly services: Readonly<Record<string, readonly Method[]>>;
  readonly messages: Readonly<Record<string, { readonly fields: readonly Field[] }>>;
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

const contract = JSON.parse(readFileSync(join(import.meta.dirname, '../../fixtures/cri/cri-v1.json'), 'utf8')) as Contract;

const shortName = (typeName: string): string => typeName.slice(contract.package.length + 1);
const messages = new Map(allMessages(file.messages).map((message) => [shortName(message.typeName), message]));
const enums = new Map(
  [...file.enums, ...[...messages.values()].flatMap(({ nestedEnums }) => nestedEnums)].map((one) => [shortName(one.typeName), one]),
);

/** Map entries are no messages of their own. */
function allMessages(found: readonly DescMessage[]): DescMessage[] {
  return found.flatMap((message) => [message, ...allMessages(message.nestedMessages)]);
}

function fieldOf(field: DescField): Field {
  return {
    name: field.name,
    number: field.number,
    type: typeOf(field),
    ...(field.fieldKind === 'list' ? { repeated: true } : {}),
    ...(field.deprecated ? { deprecated: true } : {}),
    ...(field.proto.options?.debugRedact ? { sensitive: true } : {}),
  };
}

function typeOf(field: DescField): string {
  if (field.fieldKind === 'map') {
    expect(field.mapKind).toBe('scalar');
    return `map<${scalarName(field.mapKey)}, ${scalarName(field.scalar ?? field.mapKey)}>`;
  }
  if (field.message) return shortName(field.message.typeName);
  if (field.enum) return shortName(field.enum.typeName);
  return scalarName(field.scalar);
}

function scalarName(scalar: ScalarType): string {
  return (ScalarType[scalar] ?? 'unknown').toLowerCase();
}

function methodOf(method: DescMethod): Method {
  expect(['unary', 'server_streaming']).toContain(method.methodKind);
  return {
    name: method.name,
    request: shortName(method.input.typeName),
    response: shortName(method.output.typeName),
    ...(method.methodKind === 'server_streaming' ? { serverStreaming: true } : {}),
  };
}

function valuesOf(one: DescEnum): Record<string, number> {
  return Object.fromEntries(one.values.map(({ name, number }) => [name, number]));
}

test('the package is that of the contract', () => {
  expect(file.proto.package).toBe(contract.package);
});

describe('services', () => {
  test('are those of the contract', () => {
    expect(file.services.map(({ name }) => name).toSorted()).toEqual(Object.keys(contract.services).toSorted());
    expect(file.services.flatMap(({ methods }) => methods)).toHaveLength(43);
  });

  test.each(file.services.map((service) => [service.name, service] as const))('%s has the methods of the contract', (name, service) => {
    const byName = (a: Method, b: Method): number => a.name.localeCompare(b.name);
    expect(service.methods.map(methodOf).toSorted(byName)).toEqual([...(contract.services[name] ?? [])].toSorted(byName));
  });
});

describe('messages', () => {
  test('are those of the contract', () => {
    expect([...messages.keys()].toSorted()).toEqual(Object.keys(contract.messages).toSorted());
    expect(messages.size).toBe(175);
  });

  test.each([...messages])('%s has the fields of the contract', (name, message) => {
    const byNumber = (a: Field, b: Field): number => a.number - b.number;
    expect(message.fields.map(fieldOf).toSorted(byNumber)).toEqual([...(contract.messages[name]?.fields ?? [])].toSorted(byNumber));
  });
});

describe('enums', () => {
  test('are those of the contract', () => {
    expect([...enums.keys()].toSorted()).toEqual(Object.keys(contract.enums).toSorted());
  });

  test.each([...enums])('%s has the values of the contract', (name, one) => {
    expect(valuesOf(one)).toEqual(contract.enums[name]);
  });
});
