import { int, nothing, optional, string, struct, uint } from '../codecs.ts';
import { domainRef, type DomainRef } from '../domain.ts';
import { procedure } from './procedure.ts';

/** Which piece of metadata. */
export interface MetadataQuery {
  /** `domainMetadataType`. */
  readonly type: number;
  /** XML namespace, for `element` only. */
  readonly uri?: string | undefined;
}

/** A piece of metadata to be set. */
export interface MetadataChange extends MetadataQuery {
  /** The title, description or XML element; absent removes it. */
  readonly value?: string | undefined;
  /** Prefix of the XML namespace, for `element` only. */
  readonly key?: string | undefined;
}

const optionalString = optional(string);

const query = struct<MetadataQuery>({ type: int, uri: optionalString });
const change = struct<MetadataChange>({ type: int, value: optionalString, key: optionalString, uri: optionalString });

/** Title, description and foreign XML kept with a domain. Flags: `domainAffect`. */
export const metadataProcedures = {
  /** Error `noDomainMetadata` when there is none. */
  metadata: procedure<[domain: DomainRef, query: MetadataQuery, flags: number], string>(265, [domainRef, query, uint], string),
  setMetadata: procedure<[domain: DomainRef, change: MetadataChange, flags: number], void>(264, [domainRef, change, uint], nothing),
} as const;
