import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { identityElement, metadataNamespace, parseIdentity } from '../../../src/hypervisor/metadata.ts';
import { writeXml } from '../../../src/hypervisor/xml.ts';
import type { VmIdentity } from '../../../src/model/vm-identity.ts';
import { sampleIdentity } from './samples.ts';

const written = (identity: VmIdentity): string => writeXml(identityElement(identity));

const id = fc.stringMatching(/^[0-9a-f]{64}$/);
const text = fc.string({ unit: 'grapheme', maxLength: 253 }).filter((value) => !/[\p{Cc}\uFFFE\uFFFF]/u.test(value));
const count = fc.nat({ max: 4_294_967_295 });
const identities: fc.Arbitrary<VmIdentity> = fc.record({
  sandboxId: id,
  containerId: id,
  namespace: text,
  podName: text,
  podUid: text,
  sandboxAttempt: count,
  containerName: text,
  containerAttempt: count,
});

describe('an identity in a domain’s metadata', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(identities, (identity) => {
        expect(parseIdentity(written(identity))).toEqual(identity);
      }),
    );
  });

  it('is read under another prefix, without one, and with character references, as libvirt may tell it', () => {
    const xml = written(sampleIdentity);
    expect(parseIdentity(xml.replaceAll('vmlet:', 'x:').replace('xmlns:vmlet', 'xmlns:x'))).toEqual(sampleIdentity);
    expect(parseIdentity(xml.replaceAll(/(<\/?)vmlet:/g, '$1').replace('xmlns:vmlet', 'xmlns'))).toEqual(sampleIdentity);
    expect(parseIdentity(xml.replace('legacy-app', 'm&#xFC;ller'))).toMatchObject({ podName: 'müller' });
  });

  it.each([
    ['a field is missing', (xml: string) => xml.replace(/<vmlet:podUid>.*<\/vmlet:podUid>/, '')],
    ['a field is there twice', (xml: string) => xml.replace(/(<vmlet:podUid>.*<\/vmlet:podUid>)/, '$1$1')],
    ['a field is unknown', (xml: string) => xml.replace('</vmlet:vm>', '<vmlet:more>1</vmlet:more></vmlet:vm>')],
    ['an id is short', (xml: string) => xml.replace(sampleIdentity.containerId, 'abc')],
    ['an attempt is no number', (xml: string) => xml.replace('>2<', '>two<')],
    ['a field has elements', (xml: string) => xml.replace('legacy-app', '<b>x</b>')],
    ['it is cut short', (xml: string) => xml.slice(0, -20)],
    ['there is a document type', (xml: string) => `<!DOCTYPE x [<!ENTITY e "x">]>${xml}`],
    ['it is too long', (xml: string) => xml.replace('legacy-app', 'x'.repeat(20_000))],
    ['it is another element', () => `<other xmlns="${metadataNamespace}"/>`],
    ['it is empty', () => ''],
  ])('is none when %s', (_what, change) => {
    expect(parseIdentity(change(written(sampleIdentity)))).toBeUndefined();
  });
});
