import type { MessageInitShape } from '@bufbuild/protobuf';
import { NamespaceMode, type NamespaceOption, type NamespaceOptionSchema } from '../gen/runtime/v1/api_pb.js';
import { invalid, VmletError } from '../model/errors.ts';
import type { NamespaceOptions } from '../model/sandbox.ts';
import type { FieldSupport } from './support.ts';

type Mode = NamespaceOptions['pid'];

/** What a VM can be given. Its processes and IPC objects are its own, so that sharing within the pod and not sharing are the same. */
const accepted = { network: ['POD'], pid: ['POD', 'CONTAINER'], ipc: ['POD'] } as const satisfies Record<string, readonly Mode[]>;

/** What the refusals mean in a pod's manifest. */
const spelled = { network: 'hostNetwork', pid: 'hostPID', ipc: 'hostIPC' };

/** `namespace_options` of sandboxes and containers. */
export const namespaceFields: FieldSupport = {
  network: { refused: 'all but POD, hostNetwork above all' },
  pid: { refused: 'NODE (hostPID); TARGET answers UNIMPLEMENTED. POD and CONTAINER are the same to a VM' },
  ipc: { refused: 'all but POD' },
  target_id: { ignored: 'belongs to pid TARGET' },
  userns_options: { refused: 'id mappings and modes other than POD and NODE: a guest’s users are its own anyway' },
};

/** Namespace choices as they are kept. Throws INVALID for what a VM cannot share, UNIMPLEMENTED for another container's processes. */
export function namespacesFromProto(field: string, proto: NamespaceOption | undefined): NamespaceOptions {
  if (!proto) return { network: 'POD', pid: 'POD', ipc: 'POD' };
  checkUsers(`${field}.userns_options`, proto);
  if (proto.pid === NamespaceMode.TARGET) {
    const message = `${field}.pid: TARGET is not offered, the processes of a guest cannot be shared (kubectl debug --target)`;
    throw new VmletError({ code: 'UNIMPLEMENTED', feature: 'pid namespace TARGET' }, message);
  }
  return {
    network: modeOf(field, 'network', proto.network),
    pid: modeOf(field, 'pid', proto.pid),
    ipc: modeOf(field, 'ipc', proto.ipc),
  };
}

/** Namespace choices as PodSandboxStatus echoes them: a kubelet compares the network's with what the pod wants. */
export function namespacesToProto(options: NamespaceOptions): MessageInitShape<typeof NamespaceOptionSchema> {
  return { network: NamespaceMode[options.network], pid: NamespaceMode[options.pid], ipc: NamespaceMode[options.ipc] };
}

function modeOf(field: string, kind: keyof typeof accepted, mode: NamespaceMode): Mode {
  const found = accepted[kind].find((name) => NamespaceMode[name] === mode);
  if (found !== undefined) return found;
  const manifest = mode === NamespaceMode.NODE ? ` (${spelled[kind]})` : '';
  throw invalid(
    `${field}.${kind}`,
    `${NamespaceMode[mode] ?? mode}${manifest} cannot be given to a VM; accepted: ${accepted[kind].join(', ')}`,
  );
}

function checkUsers(field: string, { usernsOptions: users }: NamespaceOption): void {
  if (!users) return;
  if (users.uids.length + users.gids.length > 0)
    throw invalid(field, 'id mappings cannot be given to a VM; accepted: none (hostUsers unset)');
  if (users.mode === NamespaceMode.POD || users.mode === NamespaceMode.NODE) return;
  throw invalid(`${field}.mode`, `${NamespaceMode[users.mode] ?? users.mode} has no meaning for users; accepted: POD, NODE`);
}
