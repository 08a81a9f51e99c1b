import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { invalid } from '../model/errors.ts';
import type { VmIdentity } from '../model/vm-identity.ts';
import type { XmlNode } from './xml.ts';

/** XML namespace of what vmlet keeps in a domain's `<metadata>`. What lacks it is not ours. */
export const metadataNamespace = 'https://vmlet.dev/xmlns/domain/1';

/** Fields of an identity, in the order in which they are written. */
const fields = {
  sandboxId: 'id',
  containerId: 'id',
  namespace: 'text',
  podName: 'text',
  podUid: 'text',
  sandboxAttempt: 'number',
  containerName: 'text',
  containerAttempt: 'number',
} as const satisfies Record<keyof VmIdentity, 'id' | 'text' | 'number'>;

const fieldNames = Object.keys(fields) as readonly (keyof VmIdentity)[];

/** Bytes beyond which metadata is not looked at: names are at most 253 characters each. */
const maxBytes = 16_384;

/** The `<metadata>` child that carries an identity. Throws INVALID for text that XML cannot carry (control characters, lone surrogates). */
export function identityElement(identity: VmIdentity): XmlNode {
  const element: XmlNode = { '@xmlns:vmlet': metadataNamespace };
  for (const name of fieldNames) {
    const value = String(identity[name]);
    if (!isPlainText(value)) throw invalid(`pod metadata, ${name}`, 'must not contain control characters or lone surrogates');
    element[`vmlet:${name}`] = value;
  }
  return { 'vmlet:vm': element };
}

/**
 * Reads the element back as libvirt tells it (any prefix, or none). Strict: every field once, nothing else, ids of 64 digits, whole
 * numbers; `undefined` for everything else, which then is not ours.
 */
export function parseIdentity(xml: string): VmIdentity | undefined {
  if (xml.length > maxBytes || /<!|<\?/.test(xml) || XMLValidator.validate(xml) !== true) return undefined;
  const parser = new XMLParser({
    ignoreAttributes: true,
    removeNSPrefix: true,
    parseTagValue: false,
    trimValues: false,
    htmlEntities: true, // libvirt writes what is not ASCII as character references
    alwaysCreateTextNode: false,
    isArray: () => false,
  });
  const document = parser.parse(xml) as Record<string, unknown>;
  const { vm } = document;
  if (Object.keys(document).length !== 1 || !isRecord(vm)) return undefined;
  const found = Object.entries(vm).filter(([name, value]) => name !== '#text' || String(value).trim() !== '');
  if (found.length !== fieldNames.length) return undefined;
  return identityOf(new Map(found));
}

function identityOf(found: ReadonlyMap<string, unknown>): VmIdentity | undefined {
  const values: Record<string, string | number> = {};
  for (const name of fieldNames) {
    const text = found.get(name);
    if (typeof text !== 'string') return undefined;
    const kind = fields[name];
    if (kind === 'id' && !/^[0-9a-f]{64}$/.test(text)) return undefined;
    if (kind === 'number' && !/^(0|[1-9][0-9]{0,9})$/.test(text)) return undefined;
    if (!isPlainText(text)) return undefined;
    values[name] = kind === 'number' ? Number(text) : text;
  }
  return values as unknown as VmIdentity;
}

/** True for text without control characters and lone surrogates: names have none, and XML would change or refuse them. */
function isPlainText(text: string): boolean {
  return text.isWellFormed() && !/[\p{Cc}\uFFFE\uFFFF]/u.test(text);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
