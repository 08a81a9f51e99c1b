import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromJson, toJson, type DescMessage, type DescMethod, type JsonObject, type JsonValue, type Message } from '@bufbuild/protobuf';
import { allMethods } from '../../src/cri/table.ts';
import type { PhaseName } from './phases.ts';

/** A call that a kubelet made and what containerd answered, as test/fixtures/kubelet-traffic/README.md describes it. */
export interface RecordedCall {
  readonly seq: number;
  readonly method: string;
  readonly deadlineSeconds?: number;
  readonly request: JsonObject;
  readonly response?: JsonObject;
  /** gRPC code by name. */
  readonly error?: string;
}

/** A message of GetContainerEvents. */
export interface RecordedEvent {
  readonly event: JsonObject;
}

/** The lines of one phase in their order, and the calls among them. */
export interface RecordedPhase {
  readonly lines: readonly (RecordedCall | RecordedEvent)[];
  readonly calls: readonly RecordedCall[];
}

const dir = join(import.meta.dirname, '..', 'fixtures', 'kubelet-traffic');

/** Reads a phase of the recording. */
export function readPhase(name: PhaseName): RecordedPhase {
  const lines = readFileSync(join(dir, `${name}.jsonl`), 'utf8')
    .trimEnd()
    .split('\n');
  const parsed = lines.map((line) => JSON.parse(line) as RecordedCall | RecordedEvent);
  return { lines: parsed, calls: parsed.filter((line) => 'request' in line) };
}

/** The method of either service by its name. Throws when CRI has no such method. */
export function methodOf(name: string): DescMethod {
  const method = allMethods.find((one) => one.name === name);
  if (!method) throw new Error(`CRI has no method ${name}`);
  return method;
}

/** A message with every field in it, so that what is left out as zero can be compared; names as in the .proto. */
export function fullJson(schema: DescMessage, message: Message): JsonObject {
  return toJson(schema, message, { alwaysEmitImplicit: true, useProtoFieldName: true }) as JsonObject;
}

/** The same for a recorded answer. */
export function fullAnswer(method: DescMethod, answer: JsonValue): JsonObject {
  return fullJson(method.output, fromJson(method.output, answer));
}
