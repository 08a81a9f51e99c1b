import { isLibvirtError, libvirtNumbers, type Domain, type LibvirtCalls } from '../libvirt/libvirt.ts';
import { isGone } from './failures.ts';
import type { ObservedVm } from './observed-vm.ts';
import { metadataNamespace, parseIdentity } from './metadata.ts';
import { endCauseOf, stateOf } from './vm-state.ts';

const { domainAffect, domainMetadataType, libvirtErrorCode } = libvirtNumbers;

/** A VM of ours with libvirt's handle for calls. */
export interface FoundVm extends ObservedVm {
  readonly domain: Domain;
}

/** The VM of this name; `undefined` when there is none, or it lacks our metadata and is somebody else's. */
export async function findVm({ domains }: LibvirtCalls, name: string, signal: AbortSignal): Promise<FoundVm | undefined> {
  try {
    return await describe({ domains }, await domains.lookupByName(name, signal), signal);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** All VMs of ours. One that goes while they are listed is left out. */
export async function listVms({ domains }: LibvirtCalls, signal: AbortSignal): Promise<readonly FoundVm[]> {
  const all = await domains.list(0, signal);
  const described = await Promise.all(
    all.map(async (domain) =>
      describe({ domains }, domain, signal).catch((error: unknown) => {
        if (isGone(error)) return undefined;
        throw error;
      }),
    ),
  );
  return described.filter((vm) => vm !== undefined);
}

async function describe({ domains }: Pick<LibvirtCalls, 'domains'>, domain: Domain, signal: AbortSignal): Promise<FoundVm | undefined> {
  const identity = await identityOf({ domains }, domain, signal);
  if (!identity) return undefined;
  const status = await domains.state(domain, 0, signal);
  return { domain, name: domain.name, uuid: domain.uuid, identity, state: stateOf(status), endCause: endCauseOf(status) };
}

async function identityOf(
  { domains }: Pick<LibvirtCalls, 'domains'>,
  domain: Domain,
  signal: AbortSignal,
): Promise<FoundVm['identity'] | undefined> {
  const query = { type: domainMetadataType.element, uri: metadataNamespace };
  try {
    return parseIdentity(await domains.metadata(domain, query, domainAffect.current, signal));
  } catch (error) {
    if (isLibvirtError(error, libvirtErrorCode.noDomainMetadata)) return undefined;
    throw error;
  }
}
