import { PullProblem } from '../failures.ts';
import type { RegistryHost } from './registry-host.ts';

/** Runs `work`; a certificate that is not trusted, or one that the server wants of us, then says where a registry's certificates are configured. */
export async function withCertificateHint<T>(host: RegistryHost, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof PullProblem) || error.kind !== 'certificate') throw error;
    const { cause } = error;
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    const fact = error.message.replace(/(\([A-Z0-9_]+\)).*$/s, '$1'); // what is behind the code is advice for other configuration
    const hint = hintFor(code, host);
    throw new PullProblem('certificate', hint === '' ? fact : `${fact}: ${hint}`, { cause });
  }
}

/** By the codes of Node and OpenSSL. */
function hintFor(code: string, { url, hints }: RegistryHost): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `it must be for ${url.hostname}`;
  if (code === 'CERT_NOT_YET_VALID') return 'is the clock of this node right?';
  if (code === 'CERT_HAS_EXPIRED') return '';
  return code.startsWith('ERR_SSL_') ? hints.client : hints.ca;
}
