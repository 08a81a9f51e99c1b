import { stat } from 'node:fs/promises';
import type { ObservedVm } from '../hypervisor/hypervisor.ts';
import { messageOf } from '../lib/errno.ts';
import type { PodsContext } from './context.ts';
import { vmPaths } from './layout.ts';
import { metadataOf, salvagedContainer, salvagedSandbox } from './salvage.ts';

/**
 * Shows what records cannot tell as far as it is known from elsewhere: a sandbox by its network's record or its VM's metadata, a container
 * by its VM's metadata. A kubelet must see them: of a pod that is missing in a list it makes another, on the same disk. What nothing
 * identifies stays unreadable, and lists fail. Run again whenever libvirt is back: `observed` is `undefined` while it is away.
 */
export async function salvage(context: PodsContext, observed: readonly ObservedVm[] | undefined): Promise<void> {
  for (const { id, changedAtNs } of context.store.sandboxes.unreadable.slice()) {
    await salvageSandbox(context, id, changedAtNs, observed ?? []);
  }
  for (const { id, changedAtNs } of context.store.containers.unreadable.slice()) {
    const vm = observed?.find(({ identity }) => identity.containerId === id);
    if (vm) await salvageContainer(context, vm, changedAtNs);
  }
}

async function salvageSandbox(context: PodsContext, id: string, changedAtNs: bigint, observed: readonly ObservedVm[]): Promise<void> {
  const { network, store, log } = context;
  const vms = observed.filter(({ identity }) => identity.sandboxId === id);
  const vm = vms.find(({ state }) => state !== 'off') ?? vms[0];
  const metadata = network.metadata(id) ?? (vm && metadataOf(vm.identity));
  if (!metadata) return;
  const ips = network.attachment(id)?.ips ?? [];
  const cgroupParent = await parentOf(context, vm);
  store.showSandbox(salvagedSandbox({ id, metadata, ips, cgroupParent, changedAtNs, containers: store.containersOf(id) }));
  log.warn({ sandboxId: id, pod: metadata.name, namespace: metadata.namespace }, 'sandbox with an unreadable record is NOTREADY');
}

async function salvageContainer(context: PodsContext, vm: ObservedVm, changedAtNs: bigint): Promise<void> {
  const { images, options, store, volumes, log } = context;
  const { identity, uuid: domainUuid } = vm;
  const { containerId, sandboxId } = identity;
  const { dir, rootDisk } = vmPaths(options.stateDir, options.runtimeDir, containerId);
  const uid = await ownerOf(rootDisk, options.uidRange.first);
  const base = await volumes.baseOf(rootDisk).catch((error: unknown) => {
    log.warn({ containerId, error: messageOf(error) }, 'the base of a root disk cannot be told');
  });
  const imageId = images.list().find(({ path }) => path === base)?.id;
  if (imageId !== undefined) images.hold(imageId, containerId);
  const sandbox = store.sandboxes.get(sandboxId);
  store.showContainer(salvagedContainer({ identity, domainUuid, changedAtNs, uid, imageId, sandbox, noLogPath: `${dir}/no.log` }));
  log.warn({ containerId, sandboxId, domain: vm.name }, 'container with an unreadable record is UNKNOWN');
}

async function parentOf({ cgroups, hypervisor }: PodsContext, vm: ObservedVm | undefined): Promise<string> {
  const pid = vm && (await hypervisor.pidOf(vm.name));
  return (vm && pid !== undefined && (await cgroups.parentOf(pid, vm.identity.containerId))) || '';
}

async function ownerOf(file: string, otherwise: number): Promise<number> {
  const found = await stat(file).catch(() => undefined);
  return found && found.uid > 0 ? found.uid : otherwise;
}
