import { VmletError } from '../model/errors.ts';
import type { NetworkAttachment } from '../model/network.ts';
import { messageOf } from '../lib/errno.ts';
import { chooseDns, checkRequest, type AttachRequest } from './attach-request.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import type { JsonObject } from './cni/config.ts';
import { capabilityArguments, checkOwnCapabilities, unservedCapabilities } from './cni/capabilities.ts';
import { untoldByDhcp } from './dhcp/arguments.ts';
import { podInterface } from './cni/input.ts';
import { cniFailure } from './cni/failure.ts';
import { podResult } from './cni/result.ts';
import { isFailedAdd, type AddProgress } from './cni/cni.ts';
import { linkStateProgram, parseLinkStates, type LinkState } from './links/link-state.ts';
import type { Parts } from './parts.ts';
import { podLinks, withDevices } from './links/pod-links.ts';
import { rollBack, tearDown } from './teardown.ts';
import { recogniseFunctions } from './sriov/recognition.ts';

/**
 * netns and CNI ADD. A sandbox that is attached already gets its attachment again; the remains of a roll-back that failed are undone
 * first. Errors: CNI_UNAVAILABLE, CNI_FAILED, INVALID.
 */
export async function attach(parts: Parts, request: AttachRequest, signal: AbortSignal): Promise<NetworkAttachment> {
  const { records, namespaces, cni, cache, directory, warnOfIpv6, log } = parts;
  const { sandboxId, metadata, hostname } = request;
  checkRequest(request);
  const capabilities = capabilityArguments(request);
  const known = records.get(sandboxId);
  if (known?.added && !known.deleting && (await namespaces.isAlive(known.netnsPath))) return known.added.attachment;
  if (known) await tearDown(parts, sandboxId, signal);
  const network = await directory.current(signal);
  checkOwnCapabilities(network, capabilities);
  const unserved = unservedCapabilities(network, capabilities);
  if (unserved.length > 0) log.warn({ sandboxId, network: network.name, unserved }, 'no plugin declares the capability');
  const subject = { sandboxId, metadata, capabilities };
  const record: AttachmentRecord = { netnsPath: namespaces.pathOf(sandboxId), hostname, network, subject };
  await records.put(sandboxId, record);
  let progress: AddProgress = { started: 0 };
  try {
    await namespaces.make(record.netnsPath, signal);
    const onProgress = async (to: AddProgress): Promise<void> => records.put(sandboxId, { ...record, progress: to });
    const outcome = await cni.add({ network, subject, netnsPath: record.netnsPath, onProgress }, signal);
    if (isFailedAdd(outcome)) {
      const { error, ...reached } = outcome;
      progress = reached;
      throw error;
    }
    progress = { started: network.plugins.length, result: outcome };
    await cache.put({ network, subject, netnsPath: record.netnsPath, result: outcome });
    const added = await describe(parts, record, { result: outcome, dns: request.dns }, signal);
    await records.put(sandboxId, { ...record, added });
    warnOfIpv6({ sandboxId, network: network.name, interfaces: added.attachment.interfaces });
    const untold = untoldByDhcp(added.attachment);
    if (untold) log.warn({ sandboxId, ...untold }, 'a guest without cloud-init is not told these: a DHCP option is full');
    return added.attachment;
  } catch (error) {
    await rollBack(parts, sandboxId, progress);
    throw error;
  }
}

/** Everything that is known once ADD has come to its end. Errors: CNI_FAILED when a guest could not use it. */
async function describe(
  parts: Parts,
  { netnsPath, network, subject }: AttachmentRecord,
  known: { readonly result: JsonObject; readonly dns: AttachRequest['dns'] },
  signal: AbortSignal,
): Promise<NonNullable<AttachmentRecord['added']>> {
  const last = network.plugins.at(-1)?.type ?? '';
  const first = network.plugins[0]?.type ?? '';
  const pod = attempt(() => podResult(known.result, podInterface), last);
  const states = withDevices(await readLinks(parts, netnsPath, first, signal), { result: known.result, netnsPath });
  const functions = await recogniseFunctions(parts.functions, states, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    throw asFailure(error, first);
  });
  const subjectOfAdd = { ifName: podInterface, netnsPath, result: known.result, addresses: pod.addresses, states, functions };
  const { link, others, interfaces, left } = attempt(() => podLinks(subjectOfAdd), first);
  if (left.length > 0) {
    const untaken = left.map(({ name, kind }) => ({ name, kind }));
    parts.log.warn({ sandboxId: subject.sandboxId, untaken }, 'interfaces in the pod’s namespace that the guest does not get');
  }
  const attachment: NetworkAttachment = {
    sandboxId: subject.sandboxId,
    netnsPath,
    ips: [...new Set(pod.addresses.map(({ cidr }) => cidr.split('/')[0] ?? ''))],
    interfaces,
    dns: attempt(() => chooseDns(known.dns, pod.dns), last),
  };
  return { result: known.result, link, ...(others.length > 0 ? { others } : {}), attachment };
}

async function readLinks({ namespaces }: Parts, netnsPath: string, plugin: string, signal: AbortSignal): Promise<readonly LinkState[]> {
  const { stdout } = await namespaces.run(netnsPath, { argv: ['sh', '-c', linkStateProgram, 'sh'] }, signal);
  return attempt(() => parseLinkStates(stdout), plugin);
}

function attempt<T>(read: () => T, plugin: string): T {
  try {
    return read();
  } catch (error) {
    throw asFailure(error, plugin);
  }
}

function asFailure(error: unknown, plugin: string): unknown {
  return error instanceof VmletError ? error : cniFailure(plugin, 'ADD', messageOf(error), { cause: error });
}
