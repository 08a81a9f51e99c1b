import { createHash, X509Certificate } from 'node:crypto';
import { isAbsolute, join } from 'node:path';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { invalid } from '../../model/errors.ts';
import type { TlsSettings } from '../http/transport.ts';
import { namesIn, readTextFile } from './hosts-directory.ts';

/** Names of PEM files, absolute or relative to their directory. */
export interface CertificateFiles {
  readonly caFiles: readonly string[];
  readonly clientFiles: readonly { readonly cert: string; readonly key: string }[];
}

/** Reads the PEM files of a registry's directory. Throws INVALID naming the one that is missing or holds no certificate or key. */
export async function readCertificates(dir: string, { caFiles, clientFiles }: CertificateFiles): Promise<TlsSettings> {
  const read = async (name: string): Promise<string> => {
    const file = fileOf(dir, name);
    const text = await readTextFile(file);
    if (text === undefined) throw invalid(file, 'does not exist');
    return text;
  };
  const ca: string[] = [];
  for (const name of caFiles) {
    const text = await read(name);
    if (!holdsCertificates(text)) throw invalid(fileOf(dir, name), 'holds no certificate in PEM form');
    ca.push(text);
  }
  const certificates: { cert: string; key: string }[] = [];
  for (const names of clientFiles) {
    const pair = { cert: await read(names.cert), key: await read(names.key) };
    if (!isUsable(pair)) throw invalid(fileOf(dir, names.cert), `is no certificate in PEM form whose key is in ${fileOf(dir, names.key)}`);
    certificates.push(pair);
  }
  return { ...(ca.length === 0 ? {} : { ca }), ...(certificates.length === 0 ? {} : { certificates }) };
}

/** The files that count where there is no hosts.toml: `*.crt` are trusted, `X.cert` with `X.key` are a client's. Throws INVALID for one without the other. */
export async function dockerLayout(dir: string): Promise<CertificateFiles> {
  const names = await namesIn(dir);
  const withEnd = (end: string): readonly string[] => names.filter((name) => name.endsWith(end));
  const needs = (name: string, other: string): void => {
    if (!names.includes(other)) throw invalid(join(dir, name), `needs ${other} beside it`);
  };
  for (const key of withEnd('.key')) needs(key, key.replace(/key$/, 'cert'));
  const clientFiles = withEnd('.cert').map((cert) => {
    const key = cert.replace(/cert$/, 'key');
    needs(cert, key);
    return { cert, key };
  });
  return { caFiles: withEnd('.crt'), clientFiles };
}

function fileOf(dir: string, name: string): string {
  return isAbsolute(name) ? name : join(dir, name);
}

/** OpenSSL would leave out what it cannot read. */
function holdsCertificates(text: string): boolean {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  try {
    for (const block of blocks) new X509Certificate(block);
    return blocks.length > 0;
  } catch {
    return false;
  }
}

function isUsable(options: SecureContextOptions): boolean {
  try {
    createSecureContext(options);
    return true;
  } catch {
    return false;
  }
}

const mostKept = 32;

/** Remembers the last 32 settings: to read the system's certificates for each pull anew takes some 20 ms of the event loop. */
export function keepTlsSettings(): (tls: TlsSettings) => TlsSettings {
  const kept = new Map<string, TlsSettings>();
  return (tls) => {
    const key = createHash('sha256').update(JSON.stringify(tls)).digest('hex');
    const same = kept.get(key) ?? tls;
    kept.delete(key);
    kept.set(key, same);
    const [oldest] = kept.keys();
    if (kept.size > mostKept && oldest !== undefined) kept.delete(oldest);
    return same;
  };
}
