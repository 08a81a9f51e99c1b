import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { restoreArguments, restoreProgram, restoreScript } from '../../../src/network/links/joint-scripts.ts';
import type { LinkState } from '../../../src/network/links/link-state.ts';

const link: LinkState = {
  name: 'eth0',
  kind: 'veth',
  linkType: 'ether',
  mac: '02:00:00:00:00:05',
  mtu: 1400,
  ipv6Disabled: false,
  addresses: [{ family: 'inet', local: '10.213.7.2', prefixlen: 24, scope: 'global' }],
  routes: [],
};

/** Puts a veth back in a netns of its own; answers the exit status and what the interface then was. */
function restore(state: LinkState): { readonly status: number | null; readonly shown: string } {
  const make = 'ip link add eth0 type veth peer name other && ';
  const show = 'sh -c "$0" restore "$@"; status=$?; ip -details address show dev eth0; exit $status';
  const args = ['--net', 'sh', '-c', make + show, restoreProgram, ...restoreArguments(state, 0)];
  const { status, stdout } = spawnSync('unshare', args, { input: restoreScript(state), encoding: 'utf8' });
  return { status, shown: stdout };
}

describe('an interface that is put back', () => {
  it('is as it was', () => {
    const { status, shown } = restore(link);
    expect(status).toBe(0);
    for (const text of ['mtu 1400', link.mac, 'inet 10.213.7.2/24']) expect(shown).toContain(text);
  });

  it.each([
    ['MTU', { mtu: 70_000 }],
    ['MAC', { mac: '01:00:00:00:00:05' }],
  ])('fails whose %s the kernel refuses, and has the rest', (_, wrong) => {
    const { status, shown } = restore({ ...link, ...wrong });
    expect(status).toBe(1);
    expect(shown).toContain('inet 10.213.7.2/24');
  });
});
