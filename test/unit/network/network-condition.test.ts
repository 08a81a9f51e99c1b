import { describe, expect, it } from 'vitest';
import type { NetworkStatus } from '../../../src/network/cni/status.ts';
import { chooseConfig, networkCondition, type Reading } from '../../../src/network/network-condition.ts';

const good = (name: string): string => JSON.stringify({ cniVersion: '1.0.0', name, plugins: [{ type: 'ptp' }] });
const dirs = { confDir: '/etc/cni/net.d', binDirs: ['/opt/cni/bin', '/usr/lib/cni'] };

describe('chooseConfig', () => {
  it('takes the first valid file in the order of bytes, and tells what it passed over', () => {
    const reading = chooseConfig([
      { name: '20-second.conflist', text: good('second') },
      { name: '10-first.conflist', text: good('first') },
      { name: '05-broken.conf', text: '{' },
      { name: '00-secret.conf', problem: 'EACCES: permission denied' },
      { name: '15-never-read.conf', text: '{' },
    ]);
    expect(reading).toEqual({
      kind: 'read',
      config: { name: 'first', cniVersion: '1.0.0', plugins: [{ type: 'ptp' }] },
      files: 5,
      problems: ['00-secret.conf: EACCES: permission denied', '05-broken.conf: not JSON'],
    });
  });

  it('orders by code units as libcni does, not by language', () => {
    const reading = chooseConfig(['a', 'Z', 'ä'].map((name) => ({ name: `${name}.conflist`, text: good(name === 'ä' ? 'umlaut' : name) })));
    expect(reading).toMatchObject({ config: { name: 'Z' } });
  });

  it('finds nothing in nothing', () => {
    expect(chooseConfig([])).toEqual({ kind: 'read', files: 0, problems: [] });
  });
});

it('names a plugin that does not speak the version of its network, and what to do', () => {
  const one = chooseConfig([{ name: 'a.conflist', text: good('pods') }]);
  const unable = { plugin: 'ptp', versions: ['0.3.1', '0.4.0'] };
  expect(networkCondition(dirs, one, { unable, status: { kind: 'failing', problem: 'error 3' } })).toEqual({
    ready: false,
    reason: 'CNIVersionUnsupported',
    message:
      'CNI network "pods" in /etc/cni/net.d is of version 1.0.0, which the plugin "ptp" does not speak; ' +
      'install newer plugins, or offer one of 0.3.1, 0.4.0 in its cniVersions',
  });
});

describe('networkCondition', () => {
  const one = chooseConfig([{ name: 'a.conflist', text: good('pods') }]);
  const broken = chooseConfig([
    { name: 'a.conf', text: '{' },
    { name: 'b.conflist', text: '{}' },
  ]);
  const cases: readonly (readonly [string, Reading, string | undefined, string])[] = [
    ['CNIConfigDirectoryMissing', { kind: 'missing', problem: 'ENOENT' }, undefined, 'no CNI configuration directory /etc/cni/net.d'],
    [
      'CNIConfigDirectoryUnreadable',
      { kind: 'unreadable', problem: 'EIO: i/o error' },
      undefined,
      'CNI configuration directory /etc/cni/net.d cannot be read: EIO: i/o error',
    ],
    [
      'CNIConfigMissing',
      chooseConfig([]),
      undefined,
      'no .conflist, .conf or .json file in /etc/cni/net.d: is a network plugin installed?',
    ],
    ['CNIConfigInvalid', broken, undefined, 'no usable CNI configuration in /etc/cni/net.d: a.conf: not JSON; b.conflist: name: '],
    [
      'CNIPluginMissing',
      one,
      'ptp',
      'CNI network "pods" in /etc/cni/net.d needs the plugin "ptp", which is not in /opt/cni/bin, /usr/lib/cni',
    ],
  ];
  it.each(cases)('is %s', (reason, reading, absent, message) => {
    const condition = networkCondition(dirs, reading, { absent });
    expect(condition).toMatchObject({ ready: false, reason });
    expect(condition.message.startsWith(message)).toBe(true);
  });

  it('has another reason for each cause', () => {
    const reasons = cases.map(([, reading, absent]) => networkCondition(dirs, reading, { absent }).reason);
    expect(new Set(reasons).size).toBe(cases.length);
    expect(reasons.every((reason) => /^[A-Z][A-Za-z]+$/.test(reason))).toBe(true);
  });

  it.each<readonly [NetworkStatus, string, string]>([
    [
      { kind: 'failing', problem: 'CNI plugin ptp, STATUS: error 50: no address is left' },
      'CNIPluginNotReady',
      'CNI network "pods" takes no pods: CNI plugin ptp, STATUS: error 50: no address is left',
    ],
    [{ kind: 'unknown' }, 'CNIStatusUnknown', 'the plugins of CNI network "pods" have not answered STATUS yet'],
  ])('follows what plugins say: %j', (status, reason, message) => {
    expect(networkCondition(dirs, one, { status })).toEqual({ ready: false, reason, message });
    expect(networkCondition(dirs, one, { status, absent: 'ptp' })).toMatchObject({ reason: 'CNIPluginMissing' });
    expect(networkCondition(dirs, one, { status: { kind: 'ready' } }).ready).toBe(true);
  });

  it('is ready, with a word about what was passed over', () => {
    expect(networkCondition(dirs, one, {})).toEqual({ ready: true, reason: '', message: '' });
    const some = chooseConfig([
      { name: 'a.conf', text: '{' },
      { name: 'b.conflist', text: good('pods') },
    ]);
    expect(networkCondition(dirs, some, {})).toEqual({
      ready: true,
      reason: '',
      message: 'CNI configuration passed over in /etc/cni/net.d: a.conf: not JSON',
    });
  });
});
