import { describe, expect, it } from 'vitest';
import {
  forwardingScript,
  joinProgram,
  joinScript,
  randomMac,
  rejoinScript,
  restoreArguments,
  restoreProgram,
  restoreScript,
  standInArguments,
  standInProgram,
  tapScript,
} from '../../../../src/network/links/joint-scripts.ts';
import type { LinkState } from '../../../../src/network/links/link-state.ts';
import { expectGolden } from '../../../lib/golden.ts';
import { stateOf } from './link-states.ts';

const macs = { bridge: '02:00:00:00:00:0b', port: '02:00:00:00:00:0c' };

describe.each(['bridge', 'ptp', 'calico'])('for an interface of %s', (plugin) => {
  const state = stateOf(plugin);
  it('the join', () => expectGolden(`network/join-${plugin}.txt`, joinScript({ index: 0, link: state, tap: 'vmlet-0123' }, macs)));
  it('the return', () => {
    expectGolden(`network/restore-${plugin}.txt`, `# ${restoreArguments(state, 0).join(' ')}\n${restoreScript(state)}`);
  });
});

it('the programs around them', () => {
  expectGolden('network/join-program.sh', `${joinProgram}\n`);
  expectGolden('network/restore-program.sh', `${restoreProgram}\n`);
  expectGolden('network/stand-in-program.sh', `${standInProgram}\n`);
});

it('a link stands in for an interface with one address after the other, and goes after the last', () => {
  const state = stateOf('bridge');
  const addressOf = (nth: number): readonly string[] => standInArguments(state, nth);
  const shared = ['eth0', state.mac, '1400'];
  expect([addressOf(0), addressOf(1), addressOf(2)]).toEqual([
    [...shared, '10.213.7.2/24'],
    [...shared, 'fd00:213:7::2/64'],
    [...shared, ''],
  ]);
});

it('takes an interface down where it cannot change its MAC while up', () => {
  const physical = { ...stateOf('calico'), kind: '' };
  const lines = joinScript({ index: 0, link: physical, tap: 'vmlet-0123' }, macs).split('\n');
  const [down, address] = ['link set dev eth0 down', `link set dev eth0 address ${macs.port}`].map((line) => lines.indexOf(line));
  expect(down).toBeGreaterThan(0);
  expect(address).toBe((down ?? 0) + 1);
  expect(restoreArguments(physical, 0)).toEqual(['eth0', 'ee:ee:ee:00:00:05', '1440', '0', 'down', 'vmlet0']);
  expect(restoreArguments({ ...physical, kind: 'veth', ipv6Disabled: true }, 3)).toEqual([
    'eth0',
    'ee:ee:ee:00:00:05',
    '1440',
    '1',
    '',
    'vmlet3',
  ]);
});

it('puts back what is rare too', () => {
  const rare: LinkState = {
    ...stateOf('calico'),
    addresses: [
      { family: 'inet', local: '10.0.0.1', address: '10.0.0.9', prefixlen: 32, scope: 'global' },
      { family: 'inet', local: '10.5.0.1', prefixlen: 16, scope: 'global', broadcast: '10.5.255.255', noprefixroute: true },
      { family: 'inet6', local: 'fd00::1', prefixlen: 64, scope: 'global' },
    ],
    routes: [
      { family: 4, dst: 'default', via: { family: 'inet6', host: 'fe80::1' }, protocol: 'static', flags: ['onlink'] },
      {
        family: 4,
        dst: '10.9.0.0/16',
        gateway: '10.5.0.9',
        table: 100,
        metric: 7,
        prefsrc: '10.5.0.1',
        metrics: [{ mtu: 1400, advmss: 1360 }],
      },
      { family: 6, dst: 'fd00::/64', protocol: 'kernel' },
      { family: 6, dst: 'fd00:9::', gateway: 'fd00::9', scope: 'global', protocol: 'boot' },
      { family: 4, dst: '10.5.0.9', scope: 'link' },
    ],
  };
  expectGolden('network/restore-rare.txt', restoreScript(rare));
});

it('the tap, and the next VM’s', () => {
  const one = { names: ['vmlet-0123'], uid: 100_001, queues: 1, leftovers: [] };
  expect(tapScript(one)).toBe('tuntap add dev vmlet-0123 mode tap user 100001 vnet_hdr\n');
  expect(tapScript({ ...one, leftovers: ['vmlet-0123'] })).toBe(
    'link del dev vmlet-0123\ntuntap add dev vmlet-0123 mode tap user 100001 vnet_hdr\n',
  );
  expect(tapScript({ ...one, names: ['vmlet-0123', 'vmlet-01231'], queues: 4 })).toBe(
    ['vmlet-0123', 'vmlet-01231'].map((name) => `tuntap add dev ${name} mode tap user 100001 vnet_hdr multi_queue\n`).join(''),
  );
  expect(rejoinScript({ index: 2, link: stateOf('bridge'), tap: 'vmlet-0124' })).toBe(
    `${['mtu 1400', 'master vmlet2', 'type bridge_slave learning off', 'up'].map((words) => `link set dev vmlet-0124 ${words}`).join('\n')}\n`,
  );
});

it('leaves a macvlan its MAC, and has the bridge send what comes for it to the guest', () => {
  const link = { ...stateOf('bridge'), kind: 'macvlan' };
  const nic = { index: 1, link, tap: 'vmlet-01231' };
  const script = joinScript(nic, macs);
  expect(script).not.toContain(macs.port);
  expect(script).not.toContain('down');
  expect(forwardingScript([{ ...nic, link: stateOf('ptp') }, nic])).toBe(`fdb replace ${link.mac} dev vmlet-01231 master static\n`);
  expect(forwardingScript([{ ...nic, link: stateOf('ptp') }])).toBe('');
});

it('makes up MACs that are local, unicast and not the same', () => {
  const made = Array.from({ length: 500 }, () => randomMac());
  expect(made.every((mac) => /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/.test(mac))).toBe(true);
  expect(new Set(made).size).toBe(made.length);
});
