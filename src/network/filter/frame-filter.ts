import { guestChains, type Sender } from './guest-filter.ts';
import { chain, freshTable } from './nft.ts';
import { portChains } from './port-filter.ts';

/** One interface of a guest: the CNI's end, the VM's end, and what the guest was given. */
export interface FilteredNic {
  /** The CNI's interface. */
  readonly port: string;
  readonly tap: string;
  readonly guest: Sender;
}

/**
 * The nftables script for the pod's netns, where ports and taps must be: address configuration stays in the pod (`portChains`); nothing of
 * what bridges keep between each other crosses, nor what comes back; and with `antiSpoofing` guests speak for themselves alone
 * (`guestChains`). It replaces tables of ours that are there, at once.
 */
export function frameFilter(nics: readonly FilteredNic[], antiSpoofing: boolean): string {
  const bridge = [...portChains(nics.map(({ port }) => port)), ...(antiSpoofing ? guestChains(nics) : [])];
  return [...freshTable('bridge vmlet', bridge), ...freshTable('netdev vmlet', nics.flatMap(ingressChains)), ''].join('\n');
}

/**
 * Before the bridge, which asks none of its chains about the reserved groups (IEEE 802.1Q, table 8-1) and hands some of their frames, LLDP's
 * for one, to the netns' own stack. And what a CNI's bridge in hairpin mode sends back to its guest would tell ours that the guest is behind the
 * port.
 */
function ingressChains({ port, tap, guest }: FilteredNic, index: number): readonly string[] {
  const ingress = (device: string): string => `type filter hook ingress device "${device}" priority filter; policy accept;`;
  const reserved = 'ether daddr 01:80:c2:00:00:00/44 drop';
  return [
    ...chain(`port${index}`, [ingress(port), reserved, `ether saddr ${guest.mac} drop`]),
    ...chain(`tap${index}`, [ingress(tap), reserved]),
  ];
}
