import { z } from 'zod';
import type { HelperIdentity } from '../lib/helper-process.ts';
import { nthTap } from '../model/container.ts';
import type { NetworkAttachment } from '../model/network.ts';
import { networkConfigSchema, type JsonObject, type NetworkConfig } from './cni/config.ts';
import type { CniSubject } from './cni/input.ts';
import type { AddProgress } from './cni/cni.ts';
import type { Nic } from './links/joint-scripts.ts';
import { linkStateSchema, type LinkState } from './links/link-state.ts';

/**
 * Version of the records on disk. What an older daemon wrote must stay readable: a new field is optional, any other change needs a new version
 * and a reader of the old.
 */
export const attachmentRecordVersion = 1;

/**
 * Everything that is known about a sandbox's network, so that it can be undone by another process and with another configuration
 * directory. It is written before the namespace is made, and again before each further effect.
 */
export interface AttachmentRecord {
  readonly netnsPath: string;
  readonly hostname: string;
  /** The configuration that ADD ran with, and what its plugins were told: DEL gets the same. */
  readonly network: NetworkConfig;
  readonly subject: CniSubject;
  /** How far ADD has come, while a plugin after the first may run; what these have done is known to their results alone. */
  readonly progress?: AddProgress;
  /** Set when ADD has come to its end. */
  readonly added?: {
    /** The final result of ADD, as it came. */
    readonly result: JsonObject;
    /** The pod's interface as ADD left it, and further ones in the guest's order. */
    readonly link: LinkState;
    readonly others?: readonly LinkState[];
    readonly attachment: NetworkAttachment;
  };
  /** Set from before the interfaces are first bridged; `making` while that may be half done, or undone. The first one's tap. */
  readonly joint?: { readonly state: 'making' | 'made'; readonly tap: string };
  readonly dhcp?: HelperIdentity;
  /** Set before the first DEL in a namespace that is there: from then on the plugins may have removed interfaces. */
  readonly deleting?: true;
  /** With that, of an ADD that did not come to its end: the interfaces that it left. */
  readonly left?: readonly LinkState[];
  /** How many times the network could not be released. */
  readonly failedReleases?: number;
}

const object = z.record(z.string(), z.unknown());
const texts = z.array(z.string());

const attachment: z.ZodType<NetworkAttachment> = z.strictObject({
  sandboxId: z.string(),
  netnsPath: z.string(),
  ips: texts,
  interfaces: z.array(
    z.strictObject({
      name: z.string(),
      mac: z.string(),
      mtu: z.int(),
      pathMtu: z.int().exactOptional(),
      addresses: z.array(z.strictObject({ cidr: z.string(), gateway: z.string().exactOptional() })),
      routes: z.array(z.strictObject({ destination: z.string(), gateway: z.string().exactOptional(), metric: z.int().exactOptional() })),
      virtualFunction: z.strictObject({ pciAddress: z.string(), vlan: z.int().exactOptional() }).exactOptional(),
    }),
  ),
  dns: z.strictObject({ servers: texts, searches: texts, options: texts }),
});

const record: z.ZodType<AttachmentRecord> = z.strictObject({
  netnsPath: z.string(),
  hostname: z.string(),
  network: networkConfigSchema,
  subject: z.strictObject({
    sandboxId: z.string(),
    metadata: z.strictObject({ name: z.string(), namespace: z.string(), uid: z.string(), attempt: z.int() }),
    capabilities: object,
  }),
  progress: z.strictObject({ started: z.int().min(0), result: object.exactOptional() }).exactOptional(),
  added: z
    .strictObject({ result: object, link: linkStateSchema, others: z.array(linkStateSchema).exactOptional(), attachment })
    .exactOptional(),
  joint: z.strictObject({ state: z.enum(['making', 'made']), tap: z.string() }).exactOptional(),
  dhcp: z.strictObject({ pid: z.int().min(1), startTicks: z.string() }).exactOptional(),
  deleting: z.literal(true).exactOptional(),
  left: z.array(linkStateSchema).exactOptional(),
  failedReleases: z.int().min(0).exactOptional(),
});

/** Checks a decoded record; throws with what is wrong. */
export function parseAttachmentRecord(value: unknown): AttachmentRecord {
  return record.parse(value);
}

/** True while ADD or DEL may be under way: their plugins may outlive a daemon that is killed. */
export function hasPluginsAtWork({ added, deleting }: Pick<AttachmentRecord, 'added' | 'deleting'>): boolean {
  return !added || deleting === true;
}

/** What an ADD has left of interfaces: all of them, or where it did not come to its end those that it left, once DEL has begun. */
type Left = Pick<AttachmentRecord, 'added' | 'left'>;

/** The interfaces of a sandbox, in the guest's order. */
export function linksOf({ added, left = [] }: Left): readonly LinkState[] {
  return added ? [added.link, ...(added.others ?? [])] : left;
}

/** An interface of a sandbox by its place in the guest's order; with a PCI address where a VM has it as a device. */
export interface PlacedLink extends Pick<Nic, 'index' | 'link'> {
  readonly pciAddress?: string;
}

/** The interfaces of a sandbox by their places. */
export function placedLinks(record: Left): readonly PlacedLink[] {
  return linksOf(record).map((link, index) => {
    const pciAddress = record.added?.attachment.interfaces[index]?.virtualFunction?.pciAddress;
    return { index, link, ...(pciAddress === undefined ? {} : { pciAddress }) };
  });
}

/** Those that the taps of a VM join. */
export function nicsOf(record: Left, tap: string): readonly Nic[] {
  return placedLinks(record).flatMap(({ index, link, pciAddress }) =>
    pciAddress === undefined ? [{ index, link, tap: nthTap(tap, index) }] : [],
  );
}

/** The others: those that a VM has as devices. */
export function functionsOf(record: Left): readonly Required<PlacedLink>[] {
  return placedLinks(record).flatMap(({ index, link, pciAddress }) => (pciAddress === undefined ? [] : [{ index, link, pciAddress }]));
}
