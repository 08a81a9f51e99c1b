import { z } from 'zod';
import type { DnsConfig, InterfaceAddress } from '../../model/network.ts';
import { familyOf, parseCidr } from '../address.ts';
import { check, supportedCniVersions, type JsonObject } from './config.ts';

/** What vmlet takes from a CNI result: the pod interface's addresses in the plugin's order (the first is primary) and DNS. */
export interface PodResult {
  readonly addresses: readonly InterfaceAddress[];
  readonly dns: DnsConfig;
}

const address = z.string().refine((text) => parseCidr(text) !== undefined, 'must be an address with prefix length, such as 10.1.2.3/24');
const ip = z.string().refine((text) => familyOf(text) !== undefined, 'must be an IP address');
const destination = z.string().refine((text) => parseCidr(text) !== undefined, 'must be a network, such as 0.0.0.0/0');
const texts = z.array(z.string()).nullish();
const count = z.int().min(0).nullish();

const resultSchema = z.looseObject({
  cniVersion: z.string().nullish(),
  interfaces: z
    .array(
      z.looseObject({
        name: z.string().min(1),
        mac: z.string().nullish(),
        mtu: z.int().min(0).nullish(),
        sandbox: z.string().nullish(),
      }),
    )
    .nullish(),
  ips: z
    .array(z.looseObject({ version: z.enum(['4', '6']).nullish(), address, gateway: ip.nullish(), interface: z.int().min(0).nullish() }))
    .nullish(),
  routes: z
    .array(z.looseObject({ dst: destination, gw: ip.nullish(), mtu: count, advmss: count, priority: count, table: count, scope: count }))
    .nullish(),
  dns: z.looseObject({ nameservers: z.array(ip).nullish(), domain: z.string().nullish(), search: texts, options: texts }).nullish(),
});

type Result = z.infer<typeof resultSchema>;
type Ip = NonNullable<Result['ips']>[number];

/**
 * Reads a plugin's result (CNI specification 0.3.0 to 1.1.0, section 5), strictly: what is there must be right. Answers the object as it
 * came, for the next plugin, but in `version`, which the configuration speaks: a plugin may leave the version out, or answer in another
 * (libcni converts too). Throws with the field that is wrong.
 */
export function parseResult(text: string, version: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error('the output is not JSON', { cause: error });
  }
  const result = check(resultSchema, value);
  const of = result.cniVersion || version; // an empty one is none
  if (!supportedCniVersions.includes(of)) {
    throw new Error(`cniVersion: ${of} is not supported; accepted: ${supportedCniVersions.join(', ')}`);
  }
  for (const [index, entry] of (result.ips ?? []).entries()) checkIp(`ips.${index}`, entry, result.interfaces?.length ?? 0);
  return of === version ? { ...result, cniVersion: version } : inVersion(result, version);
}

/** What differs between the versions: before 1.0.0 each address says its family. Fields that an older version lacks are left alone. */
function inVersion(result: Result, cniVersion: string): JsonObject {
  const saysFamily = cniVersion.startsWith('0.');
  const ips = result.ips?.map(({ version: _family, ...entry }) =>
    saysFamily ? { version: String(parseCidr(entry.address)?.family), ...entry } : entry,
  );
  return { ...result, cniVersion, ...(ips ? { ips } : {}) };
}

function checkIp(field: string, entry: Ip, interfaces: number): void {
  const family = parseCidr(entry.address)?.family;
  if (typeof entry.version === 'string' && entry.version !== String(family)) {
    throw new Error(`${field}.version: ${entry.version} does not fit ${entry.address}`);
  }
  if (typeof entry.gateway === 'string' && familyOf(entry.gateway) !== family) {
    throw new Error(`${field}.gateway: ${entry.gateway} is not of the family of ${entry.address}`);
  }
  if (typeof entry.interface === 'number' && entry.interface >= interfaces) {
    throw new Error(`${field}.interface: ${entry.interface}, but the result has ${interfaces} interfaces`);
  }
}

/**
 * The part of the final result that belongs to the interface `ifName`. An address without an interface, or with one that is not in a
 * sandbox (some plugins name the host's end), counts as its own. Throws when no address is left.
 */
export function podResult(json: JsonObject, ifName: string): PodResult {
  const result = check(resultSchema, json);
  const interfaces = result.interfaces ?? [];
  const isOurs = (entry: Ip): boolean => {
    const of = typeof entry.interface === 'number' ? interfaces[entry.interface] : undefined;
    return of === undefined || of.name === ifName || !of.sandbox;
  };
  const addresses = (result.ips ?? []).filter(isOurs).map(({ address: cidr, gateway }) => (gateway ? { cidr, gateway } : { cidr }));
  if (addresses.length === 0) throw new Error(`the result has no IP address for ${ifName}; vmlet needs a plugin with IPAM`);
  const { nameservers, domain: own, search, options } = result.dns ?? {};
  const searches = [own ?? '', ...(search ?? [])].filter((each) => each !== '');
  return { addresses, dns: { servers: nameservers ?? [], searches: [...new Set(searches)], options: options ?? [] } };
}
