import { int, optional, string, struct } from './codecs.ts';
import { optionalDomain, domainUuid, type DomainRef } from './domain.ts';
import { LibvirtError } from './errors.ts';
import { decodeXdr } from './xdr.ts';

interface RemoteError {
  code: number;
  domain: number;
  message: string | undefined;
  level: number;
  dom: DomainRef | undefined;
  str1: string | undefined;
  str2: string | undefined;
  str3: string | undefined;
  int1: number;
  int2: number;
  net: DomainRef | undefined;
}

const optionalString = optional(string);

/** remote_error: the payload of a reply with status error. */
const remoteError = struct<RemoteError>({
  code: int,
  domain: int,
  message: optionalString,
  level: int,
  dom: optionalDomain,
  str1: optionalString,
  str2: optionalString,
  str3: optionalString,
  int1: int,
  int2: int,
  net: optional(struct<DomainRef>({ name: string, uuid: domainUuid })),
});

/** The error of a reply with status error; throws `XdrError` when the bytes are none. */
export function decodeRemoteError(payload: Buffer): LibvirtError {
  const { code, domain, message, level, str1, str2, str3 } = decodeXdr(remoteError, payload);
  const details = [str1, str2, str3].filter((text) => text !== undefined);
  return new LibvirtError({ code, domain, level, message: message ?? `libvirt error ${code}`, details });
}
