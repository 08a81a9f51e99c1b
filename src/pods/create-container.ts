import { mkdir, rm } from 'node:fs/promises';
import { makeCleanupStack } from '../lib/cleanup-stack.ts';
import { randomId } from '../lib/ids.ts';
import type { Container, ContainerConfig } from '../model/container.ts';
import { VmletError } from '../model/errors.ts';
import type { Image } from '../model/image.ts';
import type { NetworkAttachment } from '../model/network.ts';
import type { Sandbox } from '../model/sandbox.ts';
import { planCreate } from './admission.ts';
import type { PodsContext } from './context.ts';
import { vmPaths } from './layout.ts';
import { designContainer, rootDiskOf, seedOf, vmSpecOf } from './vm-design.ts';

/** CreateContainer: record, root disk, seed, domain; no guest code runs. On error everything is undone. */
export async function createContainer(
  context: PodsContext,
  sandboxId: string,
  config: ContainerConfig,
  signal: AbortSignal,
): Promise<string> {
  using _lock = await context.locks.lock(sandboxId, signal);
  const { store, hypervisor } = context;
  const sandbox = store.sandbox(sandboxId);
  const plan = planCreate(sandbox, store.containersOf(sandboxId), config);
  if (plan.action === 'answer') return plan.id;
  requireHypervisor(context);
  const attachment = attachmentOf(context, sandbox);
  await context.images.admitDisk();
  for (const { vm } of plan.supersedes) {
    await hypervisor.destroy(vm.domainName, signal);
    await hypervisor.undefine(vm.domainName, signal);
  }
  return await build(context, sandbox, config, attachment, signal);
}

// oxlint-disable-next-line max-params -- the facts are gathered under the lock by the one caller
async function build(
  context: PodsContext,
  sandbox: Sandbox,
  config: ContainerConfig,
  attachment: NetworkAttachment,
  signal: AbortSignal,
): Promise<string> {
  const { store, images, uids, log, options, clock } = context;
  const id = randomId();
  const undo = makeCleanupStack();
  try {
    const image = imageFor(context, config, id);
    undo.add('release the image', () => images.release(image.id, id));
    const uid = uids.reserve();
    undo.add('release the uid', () => uids.release(uid));
    const made = { id, uid, createdAtNs: clock.nowNs(), image, ...options };
    const { container, rootDiskBytes } = designContainer(sandbox, config, made, options.sizing);
    await store.putContainer(container);
    undo.add('forget the container', async () => store.removeContainer(id));
    undo.add('remove the VM’s files', async () => removeFiles(context, id));
    undo.add('undefine the domain', async (fresh) => context.hypervisor.undefine(container.vm.domainName, fresh));
    await makeVm(context, { container, sandbox, image, attachment, rootDiskBytes }, signal);
    await store.putContainer({ ...container, state: 'CREATED' });
    uids.release(uid); // from now on the record keeps it
  } catch (error) {
    const failures = await undo.unwind();
    if (failures.length > 0) log.error({ containerId: id, failures }, 'container could not be undone completely; the next start mends it');
    throw error;
  }
  log.info({ sandboxId: sandbox.id, containerId: id, name: config.name, attempt: config.attempt }, 'container created');
  return id;
}

interface VmParts {
  readonly container: Container;
  readonly sandbox: Sandbox;
  readonly image: Image;
  readonly attachment: NetworkAttachment;
  readonly rootDiskBytes: number | undefined;
}

async function makeVm(context: PodsContext, parts: VmParts, signal: AbortSignal): Promise<void> {
  const { hypervisor, volumes, guest, options } = context;
  const paths = vmPaths(options.stateDir, options.runtimeDir, parts.container.id);
  await mkdir(paths.dir, { recursive: true, mode: 0o711 });
  await mkdir(paths.socketDir, { recursive: true, mode: 0o711 });
  const owner = { uid: parts.container.vm.uid, gid: hypervisor.gid };
  await Promise.all([
    volumes.makeRootDisk(rootDiskOf(paths, parts.image, parts.rootDiskBytes, owner), signal),
    guest.makeSeed(seedOf(paths, parts.sandbox, parts.attachment, owner), signal),
  ]);
  await hypervisor.define(vmSpecOf(paths, parts, hypervisor.gid), signal);
}

/** Removes what a VM has on disk; what is gone is fine. */
export async function removeFiles(context: PodsContext, containerId: string): Promise<void> {
  const paths = vmPaths(context.options.stateDir, context.options.runtimeDir, containerId);
  await rm(paths.dir, { recursive: true, force: true });
  await rm(paths.socketDir, { recursive: true, force: true });
}

function imageFor(context: PodsContext, config: ContainerConfig, containerId: string): Image {
  const found = context.images.find(config.image);
  if (found) return context.images.hold(found.id, containerId);
  const facts = { code: 'IMAGE_NOT_FOUND', reference: config.image } as const;
  throw new VmletError(facts, `image ${JSON.stringify(config.image)} is not on this node; pull it first`);
}

function attachmentOf(context: PodsContext, sandbox: Sandbox): NetworkAttachment {
  const attachment = context.network.attachment(sandbox.id);
  if (attachment) return attachment;
  const facts = { code: 'WRONG_STATE', kind: 'sandbox', id: sandbox.id, state: sandbox.state } as const;
  throw new VmletError(facts, `sandbox ${sandbox.id} has lost its network; it must be stopped and made anew`);
}

/** Throws LIBVIRT_UNAVAILABLE while the hypervisor cannot take work. */
export function requireHypervisor(context: PodsContext): void {
  const { ready, message } = context.hypervisor.condition();
  if (!ready) throw new VmletError({ code: 'LIBVIRT_UNAVAILABLE' }, message);
}
