import { z } from 'zod';

/** Runs a program in a network namespace; answers its stdout. */
type Inside = (...argv: readonly string[]) => Promise<string>;

const list = z.object({ nftables: z.array(z.looseObject({ counter: z.object({ name: z.string(), packets: z.int() }).optional() })) });

/**
 * Counts what arrives at a device, as it is on the wire: before fragments are put together. `matches` are nftables' expressions by the
 * counter's name. Answers what reads the packets counted so far. The counters go with the namespace, or with the device.
 */
export async function countArrivals<Name extends string>(
  inside: Inside,
  device: string,
  matches: Readonly<Record<Name, string>>,
): Promise<() => Promise<Readonly<Record<Name, number>>>> {
  const names = Object.keys(matches) as Name[];
  const counters = names.map((name) => `counter ${name} {}`);
  const rules = names.map((name) => `${matches[name]} counter name ${name};`);
  const chain = `chain arrivals { type filter hook ingress device "${device}" priority 0; policy accept; ${rules.join(' ')} }`;
  await inside('nft', `table netdev wire {\n${[...counters, chain].join('\n')}\n}`);
  return async () => {
    const found = list.parse(JSON.parse(await inside('nft', '--json', 'list', 'counters', 'table', 'netdev', 'wire')));
    const packets = new Map(found.nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter.packets]] : [])));
    return Object.fromEntries(names.map((name) => [name, packets.get(name) ?? 0])) as Record<Name, number>;
  };
}
