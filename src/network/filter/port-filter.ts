import { chain, dropHidingFragments, hook, names, vlanTags } from './nft.ts';

/**
 * Chains of a bridge that keep address configuration in the pod: no DHCP (RFC 2131), DHCPv6 (RFC 8415) or router advertisement (RFC 4861)
 * passes the CNI's interfaces, the `ports`, in either direction; and the netns' own stack, which serves DHCP to the guest, neither hears nor
 * sends anything there. All of it holds inside a VLAN tag too, since receivers take VID 0 for none.
 */
export function portChains(ports: readonly string[]): readonly string[] {
  const all = names(ports);
  return [
    ...chain('addressing', [
      // A second tag behind VID 0: receivers take off one after the other, and no rule sees what is inside.
      `meta protocol ${vlanTags} @ll,116,12 0 drop`,
      'udp dport { 67, 68, 546, 547 } drop',
      'udp sport { 67, 547 } drop',
      // `icmpv6 type` looks at the Ethernet header's type, which is the tag's.
      'meta protocol ip6 meta l4proto 58 @th,0,8 134 drop',
      dropHidingFragments,
    ]),
    ...chain('forward', [hook('forward'), `iifname ${all} jump addressing`, `oifname ${all} jump addressing`]),
    ...chain('input', [hook('input'), `iifname ${all} drop`]),
    ...chain('output', [hook('output'), `oifname ${all} drop`]),
  ];
}
