import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig, loadMappings } from '../../../src/config/config.ts';
import { makeAuthority } from '../../lib/certificates.ts';
import { tempDir } from '../../lib/temp.ts';

function load(profile: object): ReturnType<typeof loadMappings> {
  const settings = [`images.transports=${JSON.stringify({ x: profile })}`, 'images.mappingDir=/nonexistent'];
  return loadMappings(
    loadConfig({ file: '/nonexistent', fileRequired: false, dropInDir: '/nonexistent', environment: {}, settings }).images,
  );
}

test('PEM files of a transport are read, several blocks in one file too', () => {
  const authority = makeAuthority();
  const client = authority.issue({});
  const both = join(tempDir(), 'both.pem');
  writeFileSync(both, `${client.cert}${client.key}`);
  const transport = load({ ca: authority.certFile, clientCertificate: both, clientKey: both }).mappings[0]?.transports.get('x');
  expect(transport?.tls.ca).toEqual([authority.cert]);
  expect(transport?.tls.certificates).toEqual([{ cert: `${client.cert}${client.key}`, key: `${client.cert}${client.key}` }]);
});

describe('files that do not fit are told by name, without what is in them', () => {
  test.each([
    ['no certificate', 'ca', 'hello secret', /images\.transports\.x\.ca: \S+ has no certificate in PEM form$/],
    [
      'a damaged certificate',
      'ca',
      '-----BEGIN CERTIFICATE-----\nsecret\n-----END CERTIFICATE-----',
      /x\.ca: \S+ has a certificate that cannot be read, number 1$/,
    ],
    ['no key', 'clientKey', 'secret', /x\.clientKey: \S+ has no private key in PEM form without a passphrase$/],
  ])('%s', (_name, key, text, message) => {
    const authority = makeAuthority();
    const file = join(tempDir(), 'file.pem');
    writeFileSync(file, text);
    const run = (): unknown => load({ clientCertificate: authority.certFile, clientKey: authority.keyFile, [key]: file });
    expect(run).toThrow(message);
    expect(run).toThrow(expect.objectContaining({ message: expect.not.stringContaining('secret') }));
  });

  test('another certificate’s key', () => {
    const authority = makeAuthority();
    expect(() => load({ clientCertificate: authority.certFile, clientKey: authority.issue({}).keyFile })).toThrow(
      /configuration: images\.transports\.x\.clientKey: \S+ is not the key of clientCertificate/,
    );
  });
});
