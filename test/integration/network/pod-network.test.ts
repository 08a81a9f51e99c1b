import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bridgePlugin, makeGuest, makeNode, request, run, soon } from './node.ts';

describe('a pod network of real plugins', () => {
  it('gives a pod its address, and leaves nothing behind', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node), { type: 'portmap', capabilities: { portMappings: true } }]);
    const network = await node.open();
    const before = node.traces();
    const wanted = request({ portMappings: [{ protocol: 'TCP', containerPort: 80, hostPort: 8080, hostIp: '' }] });
    const attachment = await network.attach(wanted, soon());
    expect(attachment.ips).toEqual(['10.213.7.2']);
    expect(attachment.netnsPath).toBe(join(node.netnsDir, `vmlet-${wanted.sandboxId.slice(0, 12)}`));
    expect(attachment.interfaces).toEqual([
      {
        name: 'eth0',
        mac: expect.stringMatching(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/),
        mtu: 1500,
        addresses: [{ cidr: '10.213.7.2/24', gateway: '10.213.7.1' }],
        routes: [{ destination: '0.0.0.0/0', gateway: '10.213.7.1' }],
      },
    ]);
    expect(attachment.dns).toEqual(wanted.dns);
    expect(network.attachment(wanted.sandboxId)).toEqual(attachment);
    expect(await network.isAlive(wanted.sandboxId)).toBe(true);
    expect(node.traces().iptables.filter((line) => line.includes('8080'))).not.toEqual([]);
    expect(run('nsenter', `--net=${attachment.netnsPath}`, 'ip', '-br', 'link', 'show', 'dev', 'lo')).toContain('UP');
    expect(await network.attach(wanted, soon())).toEqual(attachment);

    await network.detach(wanted.sandboxId, soon());
    const after = node.traces();
    expect(after.iptables.filter((line) => line.includes('8080') || line.includes('10.213.7.2'))).toEqual([]);
    expect({ ...after, iptables: [] }).toEqual({ ...before, iptables: [] });
    expect(network.attachment(wanted.sandboxId)).toBeUndefined();
    expect(await network.isAlive(wanted.sandboxId)).toBe(false);
    await network.detach(wanted.sandboxId, soon());
  });

  it('hands address, MAC and routes to the guest over DHCP', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node, { mtu: 1400 })]);
    const network = await node.open();
    const wanted = request();
    const attachment = await network.attach(wanted, soon());
    const guest = makeGuest(node, attachment.interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    expect(guest.dhcp()).toMatchObject({
      ip: '10.213.7.2',
      mask: '24',
      router: '10.213.7.1',
      dns: '10.96.0.10',
      search: 'default.svc.cluster.local svc.cluster.local',
      domain: 'default.svc.cluster.local',
      mtu: '1400',
      hostname: 'web',
      lease: '4294967295',
      serverid: '169.254.254.254',
    });
    guest.inside('busybox', 'ping', '-c', '1', '-W', '5', '10.213.7.1');
    node.inside('busybox', 'ping', '-c', '1', '-W', '5', '10.213.7.2');
    await network.detach(wanted.sandboxId, soon());
  });

  it('serves a pod whose search domain has the longest label', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open();
    const search = `${'a'.repeat(63)}.example`;
    const dns = { servers: [], options: [] };
    const tooLong = request({ dns: { ...dns, searches: [`a${search}`] } });
    await expect(network.attach(tooLong, soon())).rejects.toMatchObject({ facts: { code: 'INVALID', field: 'dns_config.searches' } });
    const wanted = request({ dns: { ...dns, searches: [`${search}.`] } });
    const { interfaces } = await network.attach(wanted, soon());
    const guest = makeGuest(node, interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    expect(guest.dhcp()).toMatchObject({ ip: '10.213.7.2', search, domain: search });
    await network.detach(wanted.sandboxId, soon());
  });

  it.each([
    ['that fill an option', [60, 60, 60, 60]],
    ['of which one fills it', [253]],
  ])('tells search domains %s, to a client that takes 576 bytes', async (_what, lengths) => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open();
    const searches = lengths.map((length, index) => `${'abcd'.charAt(index).repeat(62)}.`.repeat(5).slice(0, length));
    const wanted = request({ hostname: 'h'.repeat(63), dns: { servers: ['10.96.0.10', '10.96.0.11'], searches, options: [] } });
    const { interfaces } = await network.attach(wanted, soon());
    const guest = makeGuest(node, interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    expect(guest.dhcp()).toMatchObject({
      ip: '10.213.7.2',
      search: searches.join(' '),
      dns: '10.96.0.10 10.96.0.11',
      router: '10.213.7.1',
      mtu: '1500',
    });
    await network.detach(wanted.sandboxId, soon());
  });

  it('serves a pod with more routes than DHCP can tell', async () => {
    const node = makeNode();
    const many = Array.from({ length: 60 }, (_, index) => ({ dst: `198.51.${index}.0/24`, gw: '10.213.7.1' }));
    const needed = { dst: '203.0.113.0/24', gw: '10.213.7.9' };
    const ranges = [[{ subnet: '10.213.7.0/24' }]];
    const ipam = { type: 'host-local', dataDir: join(node.dir, 'ipam'), ranges, routes: [...many, needed, { dst: '0.0.0.0/0' }] };
    node.configure([bridgePlugin(node, { ipam })]);
    const network = await node.open();
    const wanted = request({ hostname: '123' }); // not the number
    const { interfaces } = await network.attach(wanted, soon());
    expect(interfaces[0]?.routes).toHaveLength(62);
    const guest = makeGuest(node, interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    const lease = guest.dhcp();
    expect(lease).toMatchObject({ ip: '10.213.7.2', hostname: '123' });
    expect(lease?.['staticroutes']).toMatch(/^0\.0\.0\.0\/0 10\.213\.7\.1 203\.0\.113\.0\/24 10\.213\.7\.9 198\.51\.0\.0\/24 /);
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces()).toMatchObject({ iptables: [], leases: [], namespaces: [], processes: [] });
  });

  it('tells a guest the MTU and the preferred one of its routes, and leaves the device as it is', async () => {
    const node = makeNode();
    const double = { type: 'double', journal: node.journal };
    node.configure([bridgePlugin(node), { ...double, onAdd: 'overlay' }, double]);
    const network = await node.open();
    const wanted = request();
    const { interfaces, netnsPath } = await network.attach(wanted, soon());
    expect(interfaces[0]).toMatchObject({
      mtu: 1500,
      pathMtu: 1440,
      routes: [
        { destination: '0.0.0.0/0', gateway: '10.213.7.1' },
        { destination: '10.70.0.0/16', gateway: '10.213.7.9', metric: 3 },
      ],
    });
    const guest = makeGuest(node, interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    expect(guest.dhcp()).toMatchObject({ mtu: '1440', staticroutes: '0.0.0.0/0 10.213.7.1 10.70.0.0/16 10.213.7.9' });
    expect(run('nsenter', `--net=${netnsPath}`, 'ip', 'link', 'show', 'dev', guest.tap)).toContain('mtu 1500');
    await network.detach(wanted.sandboxId, soon());
    const [, added, deleted] = node.calls();
    expect(JSON.stringify(added?.state)).toContain('"mtu":1450');
    expect(deleted?.state).toEqual(added?.state);
  });

  it('serves the next VM of the same sandbox', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open();
    const wanted = request();
    const { interfaces } = await network.attach(wanted, soon());
    for (let vm = 0; vm < 2; vm += 1) {
      const guest = makeGuest(node, interfaces[0]?.mac ?? '');
      await network.joinTap(wanted.sandboxId, guest.tap, soon());
      expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
      await network.removeTap(wanted.sandboxId, guest.tap, soon());
      await network.removeTap(wanted.sandboxId, guest.tap, soon());
      expect(node.traces().processes).toEqual([]);
    }
    await network.detach(wanted.sandboxId, soon());
  });

  it('tells a guest behind ptp the way to its gateway', async () => {
    const node = makeNode();
    const ipam = {
      type: 'host-local',
      dataDir: join(node.dir, 'ipam'),
      ranges: [[{ subnet: '10.213.8.0/24' }]],
      routes: [{ dst: '0.0.0.0/0' }],
    };
    node.configure([{ type: 'ptp', ipMasq: true, ipam }]);
    const network = await node.open();
    const wanted = request();
    const attachment = await network.attach(wanted, soon());
    expect(attachment.ips).toEqual(['10.213.8.2']);
    expect(attachment.interfaces[0]?.addresses).toEqual([{ cidr: '10.213.8.2/32', gateway: '10.213.8.1' }]);
    const guest = makeGuest(node, attachment.interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    const lease = guest.dhcp();
    expect(lease).toMatchObject({ ip: '10.213.8.2', mask: '32' });
    expect(lease?.['staticroutes']).toContain('10.213.8.1/32 0.0.0.0');
    expect(lease?.['staticroutes']).toContain('0.0.0.0/0 10.213.8.1');
    guest.inside('busybox', 'ping', '-c', '1', '-W', '5', '10.213.8.1');
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces()).toMatchObject({ iptables: [], leases: [], namespaces: [] });
  });

  it('makes taps of the VM alone, and replaces a leftover', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open();
    const wanted = request();
    const tap = `tg${wanted.sandboxId.slice(0, 8)}`;
    const { netnsPath } = await network.attach(wanted, soon());
    const taps = { tap, interfaces: [{}], queues: 1 };
    await network.makeTap({ ...taps, uid: 4711 }, soon());
    await network.makeTap({ ...taps, uid: 4712 }, soon());
    const made = run('ip', '-details', 'link', 'show', 'dev', tap);
    expect(made).toContain('user 4712');
    expect(made).toContain('vnet_hdr on');
    expect(made).toContain('state DOWN');
    await network.joinTap(wanted.sandboxId, tap, soon());
    expect(() => run('ip', 'link', 'show', 'dev', tap)).toThrow(/does not exist/);
    expect(run('nsenter', `--net=${netnsPath}`, 'ip', '-details', 'link', 'show', 'dev', tap)).toContain('master vmlet0');
    await network.removeTap(wanted.sandboxId, tap, soon());
    expect(() => run('nsenter', `--net=${netnsPath}`, 'ip', 'link', 'show', 'dev', tap)).toThrow(/does not exist/);
    await network.makeTap({ ...taps, uid: 4713 }, soon());
    await network.removeTap(wanted.sandboxId, tap, soon());
    expect(() => run('ip', 'link', 'show', 'dev', tap)).toThrow(/does not exist/);
    await network.detach(wanted.sandboxId, soon());
  });
});
