import { normalize } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { MountPropagation, type Mount as ProtoMount, type MountSchema } from '../gen/runtime/v1/api_pb.js';
import type { Mount } from '../model/container.ts';
import { invalid } from '../model/errors.ts';
import type { StringMap } from '../model/sandbox.ts';
import type { FieldSupport } from './support.ts';

const volumes = 'volumes are not built yet';
const noEffect = { ignored: 'no mount that is accepted reaches the guest; echoed in ContainerStatus' };

/** `mounts` of a container. */
export const mountFields: FieldSupport = {
  container_path: {
    refused: `all but the kubelet’s own /etc/hosts, service account and termination log, which have no effect: ${volumes}`,
  },
  host_path: { refused: 'where the kubelet would not have put those files' },
  readonly: noEffect,
  selinux_relabel: noEffect,
  propagation: { refused: 'HOST_TO_CONTAINER and BIDIRECTIONAL' },
  uidMappings: { refused: 'any' },
  gidMappings: { refused: 'any' },
  recursive_read_only: { refused: 'true' },
  image: { refused: 'any: image volumes are not built yet' },
  image_sub_path: { refused: 'any' },
  mount_options: { refused: 'any' },
};

/** The kubelet tells a container's termination log by this annotation. */
const terminationPathAnnotation = 'io.kubernetes.container.terminationMessagePath';

/** What the kubelet mounts into every container by itself, by path in the container and on the node. */
interface OwnMount {
  readonly containerPath: string;
  readonly isHostPath: (podPath: string) => boolean;
}

/**
 * Mounts as they are kept. Accepted, without effect, are those that every pod has: no pod could start otherwise. Throws INVALID that
 * names any other one.
 */
export function mountsFromProto(
  field: string,
  protos: readonly ProtoMount[],
  pod: { readonly uid: string; readonly annotations: StringMap },
): Mount[] {
  const own: readonly OwnMount[] = [
    { containerPath: '/etc/hosts', isHostPath: (path) => path === 'etc-hosts' },
    { containerPath: '/var/run/secrets/kubernetes.io/serviceaccount', isHostPath: (path) => path.startsWith('volumes/') },
    { containerPath: pod.annotations[terminationPathAnnotation] ?? '', isHostPath: (path) => path.startsWith('containers/') },
  ];
  return protos.map((proto, index) => {
    const where = `${field}[${index}]`;
    checkOptions(where, proto);
    const path = proto.image || proto.imageSubPath !== '' ? undefined : pathInPod(proto.hostPath, pod.uid);
    const accepted = path !== undefined && own.some((one) => one.containerPath === proto.containerPath && one.isHostPath(path));
    if (!accepted) {
      const source = proto.image ? `image ${JSON.stringify(proto.image.image)}` : JSON.stringify(proto.hostPath);
      throw invalid(
        where,
        `${JSON.stringify(proto.containerPath)} from ${source}: ${volumes}; remove it from the container's volumeMounts`,
      );
    }
    const { containerPath, hostPath, readonly, selinuxRelabel, propagation, recursiveReadOnly } = proto;
    return { containerPath, hostPath, readonly, selinuxRelabel, propagation, recursiveReadOnly };
  });
}

/** A mount as ContainerStatus echoes it: the kubelet finds the termination message's file by it. */
export function mountToProto(mount: Mount): MessageInitShape<typeof MountSchema> {
  return mount;
}

/** The part of a node's path below the kubelet's directory of this pod, `<root>/pods/<uid>/`. */
function pathInPod(hostPath: string, uid: string): string | undefined {
  const marker = `/pods/${uid}/`;
  const at = hostPath.indexOf(marker);
  return hostPath === normalize(hostPath) && hostPath.startsWith('/') && at >= 0 ? hostPath.slice(at + marker.length) : undefined;
}

function checkOptions(field: string, proto: ProtoMount): void {
  if (proto.propagation !== MountPropagation.PROPAGATION_PRIVATE)
    throw invalid(
      `${field}.propagation`,
      `${MountPropagation[proto.propagation] ?? proto.propagation} does not reach into a guest; accepted: None`,
    );
  if (proto.recursiveReadOnly) throw invalid(`${field}.recursive_read_only`, 'is not offered; accepted: false');
  if (proto.uidMappings.length + proto.gidMappings.length > 0)
    throw invalid(`${field}.uidMappings`, 'id mappings are not offered; accepted: none');
  if (proto.mountOptions.length > 0)
    throw invalid(`${field}.mount_options`, `${proto.mountOptions.join(', ')}: ${volumes}; accepted: none`);
}
