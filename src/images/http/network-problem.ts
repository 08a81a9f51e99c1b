import { isErrno, messageOf } from '../../lib/errno.ts';
import { PullProblem } from '../failures.ts';
import { shown } from './http-rules.ts';

/** The room's error for one of the network: never a system error, so that a disk's errors stay apart. */
export function asPullProblem(error: unknown, url: URL, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  return error instanceof PullProblem ? error : networkProblem(error, url);
}

/** What an error of Node's HTTP or TLS means, by its code; its text, which may hold what a server sent, is cut and made printable. */
export function networkProblem(error: unknown, url: URL): PullProblem {
  const code = codeOf(error);
  const options = { cause: error };
  const where = shown(url);
  if (code === 'ERR_PROXY_TUNNEL') return proxyProblem(error, where);
  if (code.startsWith('HPE_') && code !== 'HPE_INVALID_EOF_STATE') {
    const what = code === 'HPE_HEADER_OVERFLOW' ? 'with header fields that are too large' : 'with what is no HTTP';
    return new PullProblem('answer', `${where} answers ${what} (${code})`, options);
  }
  if (notTls.has(code)) return new PullProblem('answer', `${where} does not speak TLS (${code}): are protocol and port right?`, options);
  const [wrong, hint] = certificateProblem(code) ?? [];
  if (wrong !== undefined) return new PullProblem('certificate', `${where}: ${wrong} (${code})${hint}`, options);
  const what = isErrno(error, 'ECONNREFUSED') ? 'the connection is refused' : `the connection fails: ${printable(causeOf(error))}`;
  return new PullProblem('connection', `${where}: ${what}`, options);
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return '';
  // On a write Node tells OpenSSL's reason in the text alone: `...:SSL routines:FUNCTION:wrong version number:FILE:...`
  const reason = error.code === 'EPROTO' ? /:SSL routines:[^:]*:([a-z0-9 ]+):/i.exec(error.message)?.[1] : undefined;
  return reason === undefined ? String(error.code) : `ERR_SSL_${reason.toUpperCase().replaceAll(' ', '_')}`;
}

/** What OpenSSL says when the other side sends plain text. */
const notTls: ReadonlySet<string> = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG', 'ERR_SSL_HTTP_REQUEST']);

/** By codes of OpenSSL's verification (X509_V_ERR_...), of Node's check of the name, and of alerts that the server sends (RFC 8446, section 6.2). */
function certificateProblem(code: string): readonly [string, string] | undefined {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return ["the server's certificate is for other names", ': correct the url, or name one of them as serverName of its transport'];
  if (code === 'CERT_HAS_EXPIRED') return ["the server's certificate has expired", ''];
  if (code === 'CERT_NOT_YET_VALID') return ["the server's certificate is not valid yet", ': is the clock of this node right?'];
  if (/^ERR_SSL_.*ALERT_(CERTIFICATE_|BAD_CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE|ACCESS_DENIED)/.test(code))
    return [
      'the server refuses the TLS connection',
      ': it may want a client certificate or another one (clientCertificate of its transport)',
    ];
  if (/^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|INVALID_CA|ERR_TLS_CERT)/.test(code))
    return ["the server's certificate is not trusted", ': its authority can be given as ca of its transport'];
  return undefined;
}

function proxyProblem(error: unknown, where: string): PullProblem {
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : Number.NaN;
  const options = { cause: error };
  if (status === 407) return new PullProblem('auth', `${where}: the proxy of its transport wants other credentials (status 407)`, options);
  if (Number.isNaN(status)) return new PullProblem('connection', `${where}: the proxy of its transport ends the connection`, options);
  const registryAway = status >= 500 || status === 429;
  return new PullProblem('status', `${where}: the proxy of its transport answers with status ${status}`, { ...options, registryAway });
}

/** With several addresses tried, Node's error has the reasons inside and no message of its own. */
function causeOf(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : messageOf(error);
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200);
}
