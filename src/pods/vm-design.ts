import type { SeedRequest } from '../guest/guest.ts';
import type { VmInterface, VmSpec } from '../hypervisor/hypervisor.ts';
import { uuidFromId } from '../lib/ids.ts';
import { domainNameOf, nthTap, tapNameOf, type Container, type ContainerConfig, type VmFacts } from '../model/container.ts';
import type { Image } from '../model/image.ts';
import type { GuestInterface, NetworkAttachment } from '../model/network.ts';
import type { Sandbox } from '../model/sandbox.ts';
import type { RootDiskRequest } from '../volumes/volumes.ts';
import { parseAnnotations } from './annotations.ts';
import { criLogPath, vmPaths, type VmPaths } from './layout.ts';
import { sizeVm, type SizingOptions } from './sizing.ts';

/** Who a VM's files belong to. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** What is settled before a container is designed. */
export interface DesignFacts {
  readonly id: string;
  readonly uid: number;
  readonly createdAtNs: bigint;
  readonly image: Image;
  readonly stateDir: string;
  readonly runtimeDir: string;
}

/** Decides all of a container that its record keeps, as CREATING, and the root disk's size. Throws INVALID for what a VM cannot be. */
export function designContainer(
  sandbox: Sandbox,
  config: ContainerConfig,
  made: DesignFacts,
  sizing: SizingOptions,
): { readonly container: Container; readonly rootDiskBytes: number | undefined } {
  const annotations = parseAnnotations(sandbox.config.annotations);
  const size = sizeVm(config.resources, sandbox.config.overhead, annotations, sizing);
  const container: Container = {
    id: made.id,
    sandboxId: sandbox.id,
    config,
    state: 'CREATING',
    createdAtNs: made.createdAtNs,
    imageId: made.image.id,
    imageRef: made.image.repoDigests[0] ?? made.image.id,
    // A container without a log still reports an absolute path: the kubelet removes what begins with it.
    logPath: criLogPath(sandbox.config.logDirectory, config.logPath) ?? `${vmPaths(made.stateDir, made.runtimeDir, made.id).dir}/no.log`,
    vm: {
      domainName: domainNameOf(made.id),
      domainUuid: uuidFromId(sandbox.id),
      vcpus: size.vcpus,
      memoryMiB: size.memoryMiB,
      uid: made.uid,
      tap: tapNameOf(made.id),
    },
  };
  return { container, rootDiskBytes: annotations.rootDiskSizeBytes };
}

/** The writable disk on its base. */
export function rootDiskOf(paths: VmPaths, image: Image, sizeBytes: number | undefined, owner: Owner): RootDiskRequest {
  const base = { path: image.path, format: image.format, virtualSizeBytes: image.virtualSizeBytes };
  return { path: paths.rootDisk, base, ...(sizeBytes === undefined ? {} : { sizeBytes }), ...owner };
}

/** What the guest is told. The sandbox is the instance: a restarted VM is the same machine to cloud-init. */
export function seedOf(paths: VmPaths, sandbox: Sandbox, attachment: NetworkAttachment, owner: Owner): SeedRequest {
  return {
    path: paths.seed,
    instanceId: sandbox.id,
    hostname: hostnameOf(sandbox),
    interfaces: attachment.interfaces,
    dns: attachment.dns,
    ...owner,
  };
}

/** The pod's host name; its name where the kubelet gives none. */
export function hostnameOf(sandbox: Sandbox): string {
  return sandbox.config.hostname || sandbox.config.metadata.name;
}

/** Queues of a VM's interfaces: one for each vCPU, up to what more of no longer helps and still costs interrupts and file descriptors. */
export function queuesOf(vcpus: number): number {
  return Math.min(vcpus, 8);
}

/** The domain that libvirt is asked for. */
export function vmSpecOf(
  paths: VmPaths,
  parts: { readonly container: Container; readonly sandbox: Sandbox; readonly image: Image; readonly attachment: NetworkAttachment },
  gid: number,
): VmSpec {
  const { container, sandbox, image, attachment } = parts;
  const { metadata } = sandbox.config;
  return {
    name: container.vm.domainName,
    uuid: container.vm.domainUuid,
    identity: {
      sandboxId: sandbox.id,
      containerId: container.id,
      namespace: metadata.namespace,
      podName: metadata.name,
      podUid: metadata.uid,
      sandboxAttempt: metadata.attempt,
      containerName: container.config.name,
      containerAttempt: container.config.attempt,
    },
    vcpus: container.vm.vcpus,
    memoryMiB: container.vm.memoryMiB,
    uid: container.vm.uid,
    gid,
    rootDisk: { path: paths.rootDisk, base: { path: image.path, format: image.format } },
    seedPath: paths.seed,
    interfaces: attachment.interfaces.map((guest, index) => vmInterface(guest, index, container.vm)),
    console: { socketPath: paths.consoleSocket, logPath: paths.consoleLog },
    reportSocketPath: paths.reportSocket,
  };
}

function vmInterface({ mac, mtu, virtualFunction }: GuestInterface, index: number, { tap, vcpus }: VmFacts): VmInterface {
  if (virtualFunction) return { kind: 'device', mac, ...virtualFunction };
  return { kind: 'tap', tap: nthTap(tap, index), mac, mtu, queues: queuesOf(vcpus) };
}
