import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * A CNI plugin for tests, run as a program: it has each of its `delegates` make an interface in the pod, `eth0`, `net1`, `net2` and so on,
 * as Multus does. With `tell: all` its result has all of them, with `default` only the first one's, as Multus' has.
 */
const input = z
  .looseObject({
    cniVersion: z.string(),
    tell: z.enum(['all', 'default']).default('all'),
    delegates: z.array(z.looseObject({ type: z.string(), name: z.string() })),
  })
  .parse(JSON.parse(readFileSync(0, 'utf8')));

const place = z.looseObject({ interface: z.int().optional() });
const resultSchema = z.looseObject({
  interfaces: z.array(z.looseObject({})).default([]),
  ips: z.array(place).default([]),
  routes: z.array(z.looseObject({})).default([]),
});
type Result = z.infer<typeof resultSchema>;

const { cniVersion } = input;
const command = process.env['CNI_COMMAND'] ?? '';
const [binDir = ''] = (process.env['CNI_PATH'] ?? '').split(':').toReversed();

function delegate(index: number): string {
  const config = input.delegates[index];
  if (!config) throw new Error(`no delegate ${index}`);
  const env = { ...process.env, CNI_IFNAME: index === 0 ? (process.env['CNI_IFNAME'] ?? '') : `net${index}` };
  return execFileSync(join(binDir, config.type), { env, input: JSON.stringify({ cniVersion, ...config }), encoding: 'utf8' });
}

function merge(results: readonly Result[]): object {
  const [interfaces, ips, routes]: [unknown[], unknown[], unknown[]] = [[], [], []];
  for (const result of results) {
    const first = interfaces.length;
    interfaces.push(...result.interfaces);
    ips.push(...result.ips.map((ip) => (ip.interface === undefined ? ip : { ...ip, interface: ip.interface + first })));
    routes.push(...result.routes);
  }
  return { cniVersion, interfaces, ips, routes };
}

const indexes = input.delegates.map((_, index) => index);
if (command === 'ADD') {
  const results = indexes.map((index) => resultSchema.parse(JSON.parse(delegate(index))));
  process.stdout.write(JSON.stringify(merge(input.tell === 'all' ? results : results.slice(0, 1))));
} else if (command === 'DEL') for (const index of indexes.toReversed()) delegate(index);
else process.stdout.write(JSON.stringify({ cniVersion: '1.0.0', supportedVersions: ['1.0.0'] }));
