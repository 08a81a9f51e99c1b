import { int, list, mapped, opaque, optional, string, struct, uint, double, hyper, uhyper, bool } from './codecs.ts';
import { XdrError, type Codec } from './xdr.ts';

/** Names a domain in a call: libvirtd looks it up by `uuid`; `name` appears in its messages. */
export interface DomainRef {
  readonly name: string;
  /** Lower case, with dashes. */
  readonly uuid: string;
}

/** A domain as libvirtd names it. */
export interface Domain extends DomainRef {
  /** libvirt's number of a running domain, another one at each start; -1 when it does not run. Never keep it. */
  readonly id: number;
}

/** A value of libvirt's virTypedParameter: 64-bit integers are bigint. */
export type TypedValue = number | bigint | boolean | string;

/** virTypedParameter lists: field name (`cpu.time`, `block.0.rd.bytes`) to value. */
export type TypedParameters = ReadonlyMap<string, TypedValue>;

const uuid: Codec<string> = mapped(opaque(16), uuidBytes, uuidText);

/** remote_nonnull_domain, received. */
export const domain: Codec<Domain> = struct<Domain>({ name: string, uuid, id: int });

/** remote_nonnull_domain, sent: the number is not looked at by libvirtd. */
export const domainRef: Codec<DomainRef> = mapped(
  domain,
  ({ name, uuid: id }) => ({ name, uuid: id, id: -1 }),
  (received) => received,
);

/** remote_domain. */
export const optionalDomain: Codec<DomainRef | undefined> = optional(domainRef);

/** A bare remote_uuid. */
export const domainUuid: Codec<string> = uuid;

/** Codec of each virTypedParameterType, by its number. */
const valueCodecs: ReadonlyMap<number, Codec<TypedValue>> = new Map<number, Codec<TypedValue>>([
  [1, int],
  [2, uint],
  [3, hyper],
  [4, uhyper],
  [5, double],
  [6, bool],
  [7, string],
]);

const typedParameter: Codec<readonly [string, TypedValue]> = {
  encode(writer, [field, value]) {
    const type = typeOf(value);
    string.encode(writer, field);
    int.encode(writer, type);
    valueCodecs.get(type)?.encode(writer, value);
  },
  decode(reader) {
    const field = string.decode(reader);
    const type = int.decode(reader);
    const codec = valueCodecs.get(type);
    if (codec === undefined) throw new XdrError(`typed parameter ${field} of the unknown type ${type}`);
    return [field, codec.decode(reader)];
  },
};

/** A list of remote_typed_param. Sent, a whole number is an int, another number a double, a bigint from 0 a ullong and below it a llong. */
export const typedParameters: Codec<TypedParameters> = mapped(
  list(typedParameter),
  (parameters) => [...parameters],
  (entries) => new Map(entries),
);

function typeOf(value: TypedValue): number {
  if (typeof value === 'string') return 7;
  if (typeof value === 'boolean') return 6;
  if (typeof value === 'bigint') return value < 0n ? 3 : 4;
  return Number.isInteger(value) ? 1 : 5;
}

function uuidBytes(text: string): Buffer {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) throw new RangeError(`"${text}" is not a UUID with dashes`);
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}

function uuidText(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
