import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseLinkState, type LinkState } from '../../../../src/network/links/link-state.ts';

const fixtures = join(import.meta.dirname, '..', '..', '..', 'fixtures', 'network');

/** What `ip` of iproute2 6.1 said of interfaces that the plugins bridge and ptp made, and of one set up as Calico does. */
export function recordedState(plugin: string): string {
  return readFileSync(join(fixtures, `${plugin}-link-state.txt`), 'utf8');
}

/** The same, read. */
export function stateOf(plugin: string): LinkState {
  return parseLinkState(recordedState(plugin));
}

/** What `ip` would say of an interface with these addresses and routes. */
export function toldState(more: {
  readonly link?: object;
  readonly routes4?: readonly object[];
  readonly routes6?: readonly object[];
  readonly disabled?: string;
}): string {
  const link = { ifname: 'eth0', link_type: 'ether', address: '02:00:00:00:00:01', mtu: 1500, addr_info: [], ...more.link };
  return [more.disabled ?? '0', [link], more.routes4 ?? [], more.routes6 ?? []]
    .map((part) => (typeof part === 'string' ? part : JSON.stringify(part)))
    .join('\n');
}
