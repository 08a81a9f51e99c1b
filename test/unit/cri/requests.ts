import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { expect } from 'vitest';
import {
  CreateContainerRequestSchema,
  RunPodSandboxRequestSchema,
  type CreateContainerRequest,
  type RunPodSandboxRequest,
} from '../../../src/gen/runtime/v1/api_pb.js';
import { VmletError, type ErrorCode } from '../../../src/model/errors.ts';

/** Requests of a kubelet 1.36 for a pod without volumes, as recorded (JSON of protobuf). */
const recorded = JSON.parse(readFileSync(join(import.meta.dirname, '../../fixtures/cri/kubelet-requests.json'), 'utf8')) as {
  readonly runPodSandbox: JsonValue;
  readonly createContainer: JsonValue;
};

/** A recorded RunPodSandbox, for the handler `vm`. */
export function recordedSandbox(): RunPodSandboxRequest & { config: NonNullable<RunPodSandboxRequest['config']> } {
  const request = fromJson(RunPodSandboxRequestSchema, recorded.runPodSandbox);
  if (!request.config) throw new Error('the recording has no config');
  return { ...request, runtimeHandler: 'vm', config: request.config };
}

/** The recorded CreateContainer of a container in that pod. */
export function recordedContainer(): CreateContainerRequest & { config: NonNullable<CreateContainerRequest['config']> } {
  const request = fromJson(CreateContainerRequestSchema, recorded.createContainer);
  if (!request.config) throw new Error('the recording has no config');
  return { ...request, config: request.config };
}

/** The uid of the recorded pod. */
export const recordedPodUid = '44f659f1-bf18-4413-9cdf-425f009e88ba';

/** Runs `work`, which must throw a VmletError with this code, and answers its message. */
export function refusal(work: () => unknown, code: ErrorCode = 'INVALID'): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(VmletError);
    if (!(error instanceof VmletError)) throw error;
    expect(error.facts.code).toBe(code);
    return error.message;
  }
  return expect.fail('nothing was refused');
}
