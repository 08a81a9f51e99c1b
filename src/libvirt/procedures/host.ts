import { int, list, mapped, nothing, opaque, optional, string, struct, uhyper, uint } from '../codecs.ts';
import { procedure } from './procedure.ts';

/** virNodeInfo. */
export interface NodeInfo {
  /** CPU model as libvirt names the architecture, such as `x86_64`. */
  readonly model: string;
  readonly memoryKiB: bigint;
  /** Active CPUs. */
  readonly cpus: number;
  readonly mhz: number;
  readonly numaNodes: number;
  readonly socketsPerNode: number;
  readonly coresPerSocket: number;
  readonly threadsPerCore: number;
}

/** For which combination capabilities are asked; what is absent libvirt chooses. */
export interface DomainCapabilitiesQuery {
  readonly emulator?: string | undefined;
  readonly arch?: string | undefined;
  readonly machine?: string | undefined;
  readonly virtType?: string | undefined;
}

/** `char model[32]` travels as 32 ints, one a character, ended by 0. */
const model = mapped(
  opaque(32 * 4),
  (text: string) => {
    const bytes = Buffer.alloc(32 * 4);
    Buffer.from(text, 'latin1').forEach((byte, index) => bytes.writeInt32BE(byte, index * 4));
    return bytes;
  },
  (bytes) => {
    const characters = Array.from({ length: 32 }, (_, index) => bytes[index * 4 + 3] ?? 0);
    return Buffer.from(characters).toString('latin1').replace(/\0.*$/s, '');
  },
);

const nodeInfo = struct<NodeInfo>({
  model,
  memoryKiB: uhyper,
  cpus: int,
  mhz: int,
  numaNodes: int,
  socketsPerNode: int,
  coresPerSocket: int,
  threadsPerCore: int,
});

const optionalString = optional(string);
const capabilitiesQuery = struct<DomainCapabilitiesQuery>({
  emulator: optionalString,
  arch: optionalString,
  machine: optionalString,
  virtType: optionalString,
});

/** Versions are libvirt's numbers: major * 1,000,000 + minor * 1,000 + release. */
const version = mapped(uhyper, BigInt, Number);

/** What the node and its hypervisor are. */
export const hostProcedures = {
  /** Version of the hypervisor (QEMU). */
  version: procedure<[], number>(4, [], version),
  /** Version of libvirtd. */
  libVersion: procedure<[], number>(157, [], version),
  hostname: procedure<[], string>(59, [], string),
  /** Capabilities XML of the host. */
  capabilities: procedure<[], string>(7, [], string),
  /** Capabilities XML of domains. The first call for an emulator starts it: 4-5 s on an empty cache. Flags: 0. */
  domainCapabilities: procedure<[query: DomainCapabilitiesQuery, flags: number], string>(342, [capabilitiesQuery, uint], string),
  nodeInfo: procedure<[], NodeInfo>(6, [], nodeInfo),
} as const;

/** What opens and closes a connection; not for callers. */
export const connectionProcedures = {
  /** Numbers of the ways to authenticate that libvirtd offers; 0 is none. */
  authList: procedure<[], readonly number[]>(66, [], list(int)),
  supportsFeature: procedure<[feature: number], number>(60, [int], int),
  open: procedure<[uri: string | undefined, flags: number], void>(1, [optionalString, uint], nothing),
  close: procedure<[], void>(2, [], nothing),
} as const;
