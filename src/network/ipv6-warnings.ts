import type { Log } from '../lib/log.ts';
import type { GuestInterface } from '../model/network.ts';
import { parseCidr } from './address.ts';

/** A sandbox that has just been attached to a network. */
export interface AttachedGuest {
  readonly sandboxId: string;
  /** The network's name. */
  readonly network: string;
  readonly interfaces: readonly GuestInterface[];
}

/** Warns of what a guest without cloud-init will lack, since IPv6 addresses go by cloud-init alone. */
export type Ipv6Warnings = (guest: AttachedGuest) => void;

/**
 * Makes the warnings. Whether a guest reads cloud-init's files is not known: an interface on which it would have no address at all is
 * warned of each time, by the sandbox it is in; but that dual stack is IPv4 alone for such guests is a property of the network, told
 * once in the daemon's life, or a node of a dual-stack cluster would say so of every pod.
 */
export function makeIpv6Warnings(log: Log): Ipv6Warnings {
  const told = new Set<string>();
  return ({ sandboxId, network, interfaces }) => {
    const families = interfaces.map(({ name, addresses }) => ({ name, has: addresses.map(({ cidr }) => parseCidr(cidr)?.family) }));
    const withoutAny = families.filter(({ has }) => has.includes(6) && !has.includes(4)).map(({ name }) => name);
    if (withoutAny.length > 0) {
      log.warn({ sandboxId, network, interfaces: withoutAny }, 'a guest without cloud-init has no address here: there is only IPv6');
    }
    if (told.has(network) || !families.some(({ has }) => has.includes(6) && has.includes(4))) return;
    told.add(network);
    log.warn({ sandboxId, network }, 'guests without cloud-init get no IPv6 address in this dual-stack network; not told again');
  };
}
