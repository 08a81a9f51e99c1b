import type { MessageInitShape } from '@bufbuild/protobuf';
import { PodSandboxState, type PodSandboxSchema, type PodSandboxStatusSchema } from '../gen/runtime/v1/api_pb.js';
import type { Sandbox } from '../model/sandbox.ts';
import { namespacesToProto } from './namespaces.ts';

/** CRI's state of a sandbox. */
export function sandboxStateToProto({ state }: Pick<Sandbox, 'state'>): PodSandboxState {
  return state === 'READY' ? PodSandboxState.SANDBOX_READY : PodSandboxState.SANDBOX_NOTREADY;
}

/** A sandbox in a list. */
export function sandboxToProto(sandbox: Sandbox): MessageInitShape<typeof PodSandboxSchema> {
  const { id, createdAtNs, config } = sandbox;
  return {
    id,
    metadata: config.metadata,
    state: sandboxStateToProto(sandbox),
    createdAt: createdAtNs,
    labels: config.labels,
    annotations: config.annotations,
    runtimeHandler: config.runtimeHandler,
  };
}

/** A sandbox with its addresses, the primary one apart. */
export function sandboxStatusToProto(sandbox: Sandbox): MessageInitShape<typeof PodSandboxStatusSchema> {
  const { id, createdAtNs, config, ips } = sandbox;
  const [ip = '', ...others] = ips;
  return {
    id,
    metadata: config.metadata,
    state: sandboxStateToProto(sandbox),
    createdAt: createdAtNs,
    network: { ip, additionalIps: others.map((other) => ({ ip: other })) },
    linux: { namespaces: { options: namespacesToProto(config.namespaceOptions) } },
    labels: config.labels,
    annotations: config.annotations,
    runtimeHandler: config.runtimeHandler,
  };
}
