/**
 * The nftables script for the pod's netns that keeps address configuration on the pod's side of the CNI's interface (`port`): no DHCP
 * (RFC 2131), DHCPv6 (RFC 8415) or router advertisement (RFC 4861) passes in either direction, so that no other pod answers this guest
 * or is answered by it; and the netns' own stack, which serves DHCP to the guest, neither hears nor sends anything there.
 * It replaces a table of ours that is there.
 */
export function dhcpFilter(port: string): string {
  const rules = ['udp dport { 67, 68, 546, 547 } drop', 'udp sport { 67, 547 } drop', 'icmpv6 type nd-router-advert drop'];
  const chain = (name: string, direction: string): string =>
    [`  chain ${name} {`, `    type filter hook ${name} priority 0; policy accept;`, `    ${direction} "${port}" drop`, '  }'].join('\n');
  return [
    'table bridge vmlet',
    'delete table bridge vmlet',
    'table bridge vmlet {',
    '  chain forward {',
    '    type filter hook forward priority 0; policy accept;',
    ...['iifname', 'oifname'].flatMap((side) => rules.map((rule) => `    ${side} "${port}" ${rule}`)),
    '  }',
    chain('input', 'iifname'),
    chain('output', 'oifname'),
    '}',
    '',
  ].join('\n');
}
