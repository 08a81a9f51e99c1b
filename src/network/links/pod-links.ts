import { z } from 'zod';
import { maxInterfaces } from '../../model/container.ts';
import type { GuestInterface, InterfaceAddress, VirtualFunction } from '../../model/network.ts';
import type { JsonObject } from '../cni/config.ts';
import { guestInterface } from './guest-interface.ts';
import { whyNotBridgeable, type LinkState } from './link-state.ts';

/** Of a CNI result that has been checked: what says which address is on which interface of the pod. */
const placesSchema = z.looseObject({
  interfaces: z.array(z.looseObject({ name: z.string(), sandbox: z.string().nullish(), pciID: z.string().nullish() })).nullish(),
  ips: z.array(z.looseObject({ address: z.string(), gateway: z.string().nullish(), interface: z.int().nullish() })).nullish(),
});

/** The pod's interfaces as the plugins left them: the one that CNI was asked for comes first. */
export interface PodLinks {
  readonly link: LinkState;
  readonly others: readonly LinkState[];
  /** The same as the guest is to have them. */
  readonly interfaces: readonly GuestInterface[];
  /** What stays in the namespace: of kinds that networks are not made of, and not in the result. */
  readonly left: readonly LinkState[];
}

/** What is known of a pod's network once ADD has come to its end. */
export interface AddedPod {
  /** The interface that CNI was asked for. */
  readonly ifName: string;
  readonly netnsPath: string;
  /** The final result, checked. */
  readonly result: JsonObject;
  /** The addresses of `ifName` in it. */
  readonly addresses: readonly InterfaceAddress[];
  /** All interfaces that are in the namespace. */
  readonly states: readonly LinkState[];
  /** Those of them that are virtual functions, by name. */
  readonly functions: ReadonlyMap<string, VirtualFunction>;
}

/**
 * The interfaces that the guest gets: `ifName`, then the others that the result has in the pod's namespace, in its order, then those of
 * a network's usual kinds that it does not name (Multus answers with its default network alone), by name: `net2` before `net10`. Throws
 * with an interface that is missing, that a guest cannot take over, or is one too many.
 */
export function podLinks(pod: AddedPod): PodLinks {
  const { ifName, states, functions } = pod;
  const named = namesInPod(pod).filter((name) => name !== ifName);
  const [link, ...wanted] = [ifName, ...named].map((name) => {
    const state = states.find((each) => each.name === name);
    if (!state) throw new Error(`no interface ${name} in the pod's network namespace`);
    return state;
  });
  if (!link) throw new Error(`no interface ${ifName} in the pod's network namespace`);
  const unnamed = states.filter(({ name }) => name !== ifName && !named.includes(name));
  const taken = unnamed.filter(({ kind }) => networkKinds.has(kind)).toSorted((a, b) => byNumber.compare(a.name, b.name));
  const others = [...wanted, ...taken];
  if (others.length >= maxInterfaces) throw new Error(`${others.length + 1} interfaces, but a VM has at most ${maxInterfaces}`);
  for (const state of [link, ...others]) checkTakeOver(state);
  const interfaces = [link, ...others].map((state, index) => {
    const virtualFunction = functions.get(state.name);
    const guest = guestInterface(state, index === 0 ? pod.addresses : addressesOf(pod, state));
    return { ...guest, ...(virtualFunction ? { virtualFunction } : {}) };
  });
  const left = unnamed.filter((state) => !taken.includes(state));
  return { link, others, interfaces: withOneDefault(interfaces, [link, ...others]), left };
}

const byNumber = new Intl.Collator('en', { numeric: true });

/** Kinds of link that a network's plugin puts into a pod; a physical device has none. */
const networkKinds: ReadonlySet<string> = new Set(['veth', 'macvlan', 'macvtap', 'ipvlan', 'ipvtap', 'vlan', '']);

function checkTakeOver(state: LinkState): void {
  const problem = whyNotBridgeable(state);
  if (problem !== undefined) throw new Error(problem);
  // It goes into batches of `ip` and scripts of `nft`, by words.
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(state.name)) throw new Error(`it made an interface with the name ${JSON.stringify(state.name)}`);
}

function namesInPod({ result, netnsPath }: AddedPod): readonly string[] {
  const { interfaces } = placesSchema.parse(result);
  return [...new Set((interfaces ?? []).filter(({ sandbox }) => sandbox === netnsPath).map(({ name }) => name))];
}

/**
 * The same with the PCI address that the result has for an interface (`pciID`, CNI specification 1.1.0, section 5) whose device the kernel
 * does not tell.
 */
export function withDevices(
  states: readonly LinkState[],
  { result, netnsPath }: Pick<AddedPod, 'result' | 'netnsPath'>,
): readonly LinkState[] {
  const told = (placesSchema.parse(result).interfaces ?? []).filter(({ sandbox }) => sandbox === netnsPath);
  return states.map((state) => {
    const pciAddress = told.find(({ name }) => name === state.name)?.pciID?.toLowerCase() ?? '';
    return state.pciAddress === undefined && isPciAddress.test(pciAddress) ? { ...state, pciAddress } : state;
  });
}

const isPciAddress = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/** By the result; where it has none for an interface, those that the interface has. */
function addressesOf({ result, netnsPath }: AddedPod, state: LinkState): readonly InterfaceAddress[] {
  const { interfaces, ips } = placesSchema.parse(result);
  const told = (ips ?? []).flatMap(({ address, gateway, interface: index }): readonly InterfaceAddress[] => {
    const of = index === undefined || index === null ? undefined : interfaces?.[index];
    if (of?.name !== state.name || of.sandbox !== netnsPath) return [];
    return [gateway ? { cidr: address, gateway } : { cidr: address }];
  });
  return told.length > 0 ? told : state.addresses.map(({ local, prefixlen }) => ({ cidr: `${local}/${prefixlen}` }));
}

/** Of several default routes of a family the guest gets the one that the kernel prefers, since DHCP knows no metric. */
function withOneDefault(interfaces: readonly GuestInterface[], states: readonly LinkState[]): readonly GuestInterface[] {
  const metricOf = (index: number, family: 4 | 6): number | undefined => {
    const metrics = (states[index]?.routes ?? [])
      .filter((route) => route.family === family && route.dst === 'default' && (route.table ?? 'main') === 'main')
      .map(({ metric = 0 }) => metric);
    return metrics.length === 0 ? undefined : Math.min(...metrics);
  };
  const preferred = (family: 4 | 6): number => {
    const found = states.map((_, index) => ({ index, metric: metricOf(index, family) })).filter(({ metric }) => metric !== undefined);
    return found.toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))[0]?.index ?? 0;
  };
  const [by4, by6] = [preferred(4), preferred(6)];
  return interfaces.map((each, index) => ({
    ...each,
    routes: each.routes.filter(
      ({ destination }) => !(destination === '0.0.0.0/0' && index !== by4) && !(destination === '::/0' && index !== by6),
    ),
  }));
}
