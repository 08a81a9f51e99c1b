import { invalid } from '../../model/errors.ts';
import type { Transport } from '../http/transport.ts';
import { formatReference, keyOf, parseReference, spellingsOf, type Reference } from '../reference.ts';
import { compileAddress, type Address, type AddressTemplate } from './address.ts';
import { compressionOf, type ImageSource, type Mapping } from './mapping.ts';
import type { HttpOrigin, OriginOf, FileOrigin } from './origin.ts';
import { makeUrlNames } from './url-hosts.ts';

export type { ImageSource, Mapping } from './mapping.ts';

/** All that says where images come from. */
export interface SourcesInput {
  /** In order of precedence. */
  readonly mappings: readonly Mapping[];
  /** `images.urlHosts`. */
  readonly urlHosts: readonly string[];
  /** For sources that name no transport. */
  readonly transport: Transport;
}

type MappedOrigin = HttpOrigin | FileOrigin;

interface CompiledSource {
  readonly source: ImageSource;
  readonly from: string;
  /** With its tag. */
  readonly name: string | undefined;
  readonly address: AddressTemplate;
  readonly transport: Transport;
  readonly expression: RegExp | undefined;
}

/**
 * Compiles the sources: exact names first, through all mappings in their order, then the expressions in theirs, then `virtlet.cloud/<host>/<path>`,
 * and what is left comes from a registry. Made anew when the configuration is read again. Throws INVALID naming the key.
 */
export function makeOrigins({ mappings, urlHosts, transport }: SourcesInput): OriginOf {
  const compiled = mappings.flatMap((mapping) => mapping.sources.map((source, index) => compile(mapping, source, { index, transport })));
  const exact = new Map<string, CompiledSource>();
  for (const each of compiled) if (each.name !== undefined && !exact.has(each.name)) exact.set(each.name, each);
  const expressions = compiled.flatMap(({ expression, ...rest }) => (expression ? [{ ...rest, expression }] : []));
  const urlNames = makeUrlNames(urlHosts, transport);

  function mapped(reference: Reference): MappedOrigin | undefined {
    const found = exact.get(keyOf(withoutDigest(reference)));
    if (found) return originOf(reference, found, found.address([], reference));
    for (const each of expressions) {
      for (const spelling of spellingsOf(reference)) {
        const groups = each.expression.exec(spelling);
        if (groups) return originOf(reference, each, each.address(groups, reference));
      }
    }
    return undefined;
  }

  return (reference) => mapped(reference) ?? urlNames(reference) ?? { kind: 'registry', reference };
}

function compile(
  mapping: Mapping,
  source: ImageSource,
  { index, transport }: { readonly index: number; readonly transport: Transport },
): CompiledSource {
  const key = `${mapping.from}[${index}]`;
  const profile = source.transport === undefined ? transport : mapping.transports.get(source.transport);
  if (!profile) throw invalid(`${key}.transport`, 'is no key of transports');
  const expression = source.match === undefined ? undefined : compileExpression(source.match, `${key}.match`);
  const address = compileAddress(source.url, `${key}.url`, expression !== undefined);
  const name = source.name === undefined ? undefined : fullName(source.name, `${key}.name`);
  return { source, from: mapping.from, name, address, transport: profile, expression };
}

function withoutDigest({ name, tag }: Reference): Reference {
  return tag === undefined ? { name } : { name, tag };
}

function fullName(text: string, key: string): string {
  try {
    return keyOf(withoutDigest(parseReference(text)));
  } catch (error) {
    throw invalid(key, error instanceof Error ? error.message : 'is no image name');
  }
}

function compileExpression(text: string, key: string): RegExp {
  try {
    new RegExp(text); // by itself: `a)|(?:b` is one only inside the brackets that anchor it
    return new RegExp(`^(?:${text})$`);
  } catch (error) {
    throw invalid(key, `is not a regular expression: ${error instanceof Error ? error.message : ''}`);
  }
}

function originOf(
  reference: Reference,
  { source, from, transport }: Pick<CompiledSource, 'source' | 'from' | 'transport'>,
  address: Address,
): MappedOrigin {
  const configured = source.sha256 === undefined ? undefined : `sha256:${source.sha256}`;
  if (configured !== undefined && reference.digest !== undefined && configured !== reference.digest) {
    throw invalid('image', `${JSON.stringify(formatReference(reference))} asks for another digest than ${from} gives to it, ${configured}`);
  }
  const path = address.kind === 'http' ? address.url.pathname : address.path;
  const reading = { format: source.format, compression: source.compression ?? compressionOf(path), digest: reference.digest ?? configured };
  return address.kind === 'http' ? { ...address, ...reading, isConfigured: true, transport } : { ...address, ...reading };
}
