/** An anonymous set of nftables, each member once; nftables has no empty one. */
export function set(members: readonly string[]): string {
  return `{ ${[...new Set(members)].join(', ')} }`;
}

/** Names of interfaces as a set. */
export function names(interfaces: readonly string[]): string {
  return set(interfaces.map((name) => `"${name}"`));
}

/** The lines of a chain. */
export function chain(name: string, rules: readonly string[]): readonly string[] {
  return [`chain ${name} {`, ...rules.map((rule) => `  ${rule}`), '}'];
}

/** The lines that make a table anew, whether it was there or not; a script of nft is one transaction, so that there is no moment without. */
export function freshTable(table: string, chains: readonly string[]): readonly string[] {
  return [`table ${table}`, `delete table ${table}`, `table ${table} {`, ...chains.map((line) => `  ${line}`), '}'];
}

/**
 * The first line of a chain that hears from the kernel. At priority `filter` (-200 in a bridge) it comes before br_netfilter, which at 0
 * takes frames away to the netns' iptables where `bridge-nf-call-iptables` is 1: as it is wherever that module is loaded later.
 */
export function hook(where: string): string {
  return `type filter hook ${where} priority filter; policy accept;`;
}

/** Tags of IEEE 802.1Q and 802.1ad. */
export const vlanTags = set(['8021q', '8021ad']);

/**
 * Drops the fragments that hide what they carry: the first one must hold all headers (RFC 7112), but receivers put together others too,
 * with what is told from everything else by its header, a router advertisement say, in the second.
 */
export const dropHidingFragments = 'meta protocol ip6 frag nexthdr { 0, 43, 44, 60 } drop';
