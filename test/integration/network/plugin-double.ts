import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

/**
 * A CNI plugin for tests, run as a program: what it does stands in its own configuration (`onAdd`, `onDel`). It writes every call, with
 * what it was told and the state of the pod's interface, to the file `journal`.
 */
const input = z
  .looseObject({
    cniVersion: z.string(),
    journal: z.string(),
    onAdd: z
      .enum([
        'pass',
        'fail',
        'hang',
        'stubborn',
        'stubborn-child',
        'garbage',
        'no-ips',
        'rare',
        'overlay',
        'layer-3',
        'flood',
        'crash',
        'slow',
        'other-version',
        'wrong-version',
        'noisy',
        'devices',
      ])
      .default('pass'),
    onDel: z.enum(['pass', 'fail', 'unknown', 'hang', 'stubborn']).default('pass'),
    /** PCI addresses that the behaviour `devices` has for interfaces, by name. */
    devices: z.record(z.string(), z.string()).default({}),
    prevResult: z.record(z.string(), z.unknown()).optional(),
  })
  .parse(JSON.parse(readFileSync(0, 'utf8')));

const { prevResult: given = { ips: [] } } = input;
const command = process.env['CNI_COMMAND'];
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('CNI_')));
appendFileSync(input.journal, `${JSON.stringify({ command, env, input, state: interfaceState() })}\n`);

function interfaceState(): unknown {
  const netns = process.env['CNI_NETNS'] ?? '';
  if (netns === '') return undefined;
  const ask = (...args: readonly string[]): unknown => {
    try {
      const text = execFileSync('nsenter', [`--net=${netns}`, 'ip', '-details', '-json', ...args], { encoding: 'utf8', stdio: 'pipe' });
      return JSON.parse(text === '' ? '[]' : text);
    } catch {
      return 'absent';
    }
  };
  return {
    address: ask('address', 'show', 'dev', 'eth0'),
    routes4: ask('-4', 'route', 'show', 'table', 'all'),
    routes6: ask('-6', 'route', 'show', 'table', 'main'),
  };
}

/** Waits for ever with a child, both in one process group; writes down who they are. */
function hang(child: ChildProcess): void {
  writeFileSync(`${input.journal}.pids`, `${process.pid} ${child.pid}`);
}

/** An interface without a hardware address, as tunnels are. */
function makeLayer3(): void {
  execFileSync('nsenter', [`--net=${process.env['CNI_NETNS']}`, 'ip', 'tuntap', 'add', 'dev', 'eth0', 'mode', 'tun'], { stdio: 'pipe' });
  process.stdout.write(JSON.stringify({ cniVersion: input.cniVersion, ips: [{ address: '10.213.9.2/24' }] }));
}

/** Does as plugins of an overlay do that leave room for it on the routes alone, with two ways to one destination. */
function makeOverlay(): void {
  changeLink([
    'route replace default via 10.213.7.1 dev eth0 mtu 1450',
    'route add 10.70.0.0/16 via 10.213.7.8 dev eth0 metric 7 mtu 1440',
    'route add 10.70.0.0/16 via 10.213.7.9 dev eth0 metric 3',
  ]);
}

/** Runs a batch of `ip` in the pod's namespace, and passes the result on. */
function changeLink(lines: readonly string[]): void {
  const argv = [`--net=${process.env['CNI_NETNS']}`, 'ip', '-batch', '-'];
  execFileSync('nsenter', argv, { input: `${lines.join('\n')}\n`, stdio: 'pipe' });
  process.stdout.write(JSON.stringify({ ...given, cniVersion: input.cniVersion }));
}

/** Gives the interface what plugins seldom give: a peer, an address without its prefix route, other tables, metrics, IPv6 next hops. */
function makeRare(): void {
  changeLink([
    'addr add 10.66.0.1 peer 10.66.0.9/32 dev eth0',
    'addr add 10.67.0.1/16 brd + dev eth0 noprefixroute',
    'addr add fd00:66::1/64 dev eth0 nodad',
    'route add 10.67.0.9 dev eth0 scope link',
    'route add 10.68.0.0/16 via inet6 fd00:66::9 dev eth0 onlink',
    'route add 10.69.0.0/16 via 10.67.0.9 dev eth0 table 100 src 10.67.0.1 metric 7 mtu 1300 advmss 1260',
    'route add fd00:67::/64 via fd00:66::9 dev eth0 proto static metric 5',
  ]);
}

/** Says of interfaces in the pod that they are devices. */
function nameDevices(): void {
  const { interfaces } = z
    .object({ interfaces: z.array(z.looseObject({ name: z.string(), sandbox: z.string().optional() })) })
    .parse(given);
  const told = interfaces.map((each) => ({ ...each, ...(each.sandbox ? { pciID: input.devices[each.name] } : {}) }));
  process.stdout.write(JSON.stringify({ ...given, cniVersion: input.cniVersion, interfaces: told }));
}

/** A shell program that SIGTERM does not end. */
const deaf = 'trap "" TERM; while :; do sleep 1000; done';

const behaviours = {
  pass: () => (command === 'ADD' ? process.stdout.write(JSON.stringify({ ...given, cniVersion: input.cniVersion })) : undefined),
  fail: () => {
    process.stdout.write(JSON.stringify({ cniVersion: input.cniVersion, code: 107, msg: 'the switch is on fire', details: 'port 7' }));
    process.exitCode = 1;
  },
  /** The container's, not the plugin's failure (specification, section 5). */
  unknown: () => {
    process.stdout.write(JSON.stringify({ cniVersion: input.cniVersion, code: 3, msg: 'unknown container' }));
    process.exitCode = 1;
  },
  hang: () => hang(spawn('sleep', ['1000'], { stdio: 'inherit' })),
  /** Its child alone outlives SIGTERM. */
  'stubborn-child': () => hang(spawn('sh', ['-c', deaf], { stdio: 'ignore' })),
  stubborn: () => {
    process.on('SIGTERM', () => undefined);
    hang(spawn('sh', ['-c', deaf], { stdio: 'ignore' }));
  },
  slow: () => void setTimeout(behaviours.pass, 1_500),
  /** Lies about the version; the older form of the same is understood. */
  'other-version': () => process.stdout.write(JSON.stringify({ ...given, cniVersion: '0.3.1' })),
  'wrong-version': () => process.stdout.write(JSON.stringify({ ...given, cniVersion: '2.0.0' })),
  noisy: () => {
    process.stderr.write('the fuse is blown');
    behaviours.fail();
  },
  garbage: () => process.stdout.write('all is well'),
  'no-ips': () => process.stdout.write(JSON.stringify({ ...given, cniVersion: input.cniVersion, ips: [] })),
  rare: makeRare,
  overlay: makeOverlay,
  devices: nameDevices,
  'layer-3': makeLayer3,
  flood: () => {
    const block = 'x'.repeat(2 ** 16);
    const more = (): void => {
      while (process.stdout.write(block));
      process.stdout.once('drain', more);
    };
    more();
  },
  crash: () => {
    process.stderr.write('panic: index out of range');
    process.exitCode = 2;
  },
};

behaviours[command === 'ADD' ? input.onAdd : input.onDel]();
