import { createPrivateKey, X509Certificate } from 'node:crypto';
import { messageOf } from '../lib/errno.ts';
import { readSmallFileSync } from '../lib/small-file.ts';
import type { TransportProfile } from './images.ts';

/** A transport profile with its PEM files read and checked. */
export interface LoadedTransport {
  readonly connectTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly maxRedirects: number;
  readonly proxy: string | undefined;
  readonly tls: {
    readonly ca: readonly string[] | undefined;
    readonly certificates: readonly { readonly cert: string; readonly key: string }[] | undefined;
    readonly serverName: string | undefined;
    readonly skipVerify: boolean;
  };
}

/** What is wrong with a file that a profile names. */
interface FileProblem {
  readonly key: 'ca' | 'clientCertificate' | 'clientKey';
  readonly message: string;
}

const maxPemBytes = 2 ** 20;

/** Reads the files of a profile. `stallTimeoutMs`: for a profile without one. Problems name the file, never what is in it. */
export function loadTransport(
  profile: TransportProfile,
  stallTimeoutMs: number,
): { readonly transport: LoadedTransport; readonly problems: readonly FileProblem[] } {
  const problems: FileProblem[] = [];
  const read = (key: FileProblem['key'], check: (pem: string) => string | undefined): string | undefined => {
    const file = profile[key];
    if (file === undefined) return undefined;
    try {
      const pem = readSmallFileSync(file, maxPemBytes).toString('utf8');
      const wrong = check(pem);
      if (wrong === undefined) return pem;
      problems.push({ key, message: `${file} ${wrong}` });
    } catch (error) {
      problems.push({ key, message: `${file}: ${messageOf(error)}` });
    }
    return undefined;
  };
  const ca = read('ca', certificatesProblem);
  const cert = read('clientCertificate', certificatesProblem);
  const key = read('clientKey', (pem) => keyProblem(pem, cert));
  const transport: LoadedTransport = {
    connectTimeoutMs: profile.connectTimeout,
    stallTimeoutMs: profile.stallTimeout ?? stallTimeoutMs,
    maxRedirects: profile.maxRedirects,
    proxy: profile.proxy,
    tls: {
      ca: ca === undefined ? undefined : [ca],
      certificates: cert === undefined || key === undefined ? undefined : [{ cert, key }],
      serverName: profile.serverName,
      skipVerify: profile.skipVerify,
    },
  };
  return { transport, problems };
}

function certificatesProblem(pem: string): string | undefined {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) return 'has no certificate in PEM form';
  const bad = blocks.findIndex((block) => !isCertificate(block));
  return bad < 0 ? undefined : `has a certificate that cannot be read, number ${bad + 1}`;
}

function isCertificate(block: string): boolean {
  try {
    return new X509Certificate(block).raw.length > 0;
  } catch {
    return false;
  }
}

function keyProblem(pem: string, cert: string | undefined): string | undefined {
  try {
    const key = createPrivateKey(pem);
    return cert === undefined || new X509Certificate(cert).checkPrivateKey(key) ? undefined : 'is not the key of clientCertificate';
  } catch {
    return 'has no private key in PEM form without a passphrase';
  }
}
