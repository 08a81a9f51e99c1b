import { describe, expect, test } from 'vitest';
import { asPullProblem, networkProblem } from '../../../../src/images/http/network-problem.ts';
import { PullProblem } from '../../../../src/images/failures.ts';

const url = new URL('https://user:secret@disks.example/x?token=secret');

function failure(code: string, fields: object = {}): Error {
  return Object.assign(new Error(`text of ${code}`), { code, ...fields });
}

describe('what an error of the network means', () => {
  test.each<[Error, string, boolean, RegExp]>([
    [failure('ECONNREFUSED'), 'connection', true, /the connection is refused/],
    [failure('ECONNRESET'), 'connection', true, /the connection fails: text of ECONNRESET/],
    [failure('ENOTFOUND'), 'connection', true, /the connection fails/],
    [failure('HPE_HEADER_OVERFLOW'), 'answer', false, /header fields that are too large/],
    [failure('HPE_INVALID_CONSTANT'), 'answer', false, /what is no HTTP \(HPE_INVALID_CONSTANT\)/],
    [failure('HPE_INVALID_EOF_STATE'), 'connection', true, /the connection fails/],
    [failure('ERR_SSL_WRONG_VERSION_NUMBER'), 'answer', false, /does not speak TLS/],
    [
      Object.assign(new Error('write EPROTO 40:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:../x.c:77:\n'), {
        code: 'EPROTO',
      }),
      'answer',
      false,
      /does not speak TLS \(ERR_SSL_WRONG_VERSION_NUMBER\)/,
    ],
    [failure('ERR_TLS_CERT_ALTNAME_INVALID'), 'certificate', false, /is for other names .*serverName/],
    [failure('CERT_HAS_EXPIRED'), 'certificate', false, /has expired/],
    [failure('CERT_NOT_YET_VALID'), 'certificate', false, /not valid yet/],
    [failure('UNABLE_TO_GET_ISSUER_CERT_LOCALLY'), 'certificate', false, /not trusted .*ca of its transport/],
    [failure('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), 'certificate', false, /client certificate/],
    [failure('ERR_PROXY_TUNNEL', { statusCode: 407 }), 'auth', false, /proxy of its transport wants other credentials/],
    [failure('ERR_PROXY_TUNNEL', { statusCode: 503 }), 'status', true, /proxy of its transport answers with status 503/],
    [failure('ERR_PROXY_TUNNEL', { statusCode: 403 }), 'status', false, /status 403/],
    [failure('ERR_PROXY_TUNNEL'), 'connection', true, /proxy of its transport ends the connection/],
    [new AggregateError([failure('A'), failure('B')]), 'connection', true, /text of A; text of B/],
    [new Error(`\u001b[31m${'x'.repeat(1000)}`), 'connection', true, /fails: \?\[31mx{195}$/],
  ])('%s', (error, kind, registryAway, message) => {
    const problem = networkProblem(error, url);
    expect(problem).toMatchObject({ kind, registryAway, message: expect.stringMatching(message), cause: error });
    expect(problem.message).toMatch(/^https:\/\/disks\.example\/x/);
    expect(problem.message).not.toContain('secret');
  });
});

test('an abort keeps its reason, and a problem stays what it is', () => {
  const reason = new Error('gone');
  expect(asPullProblem(failure('ECONNRESET'), url, AbortSignal.abort(reason))).toBe(reason);
  const problem = new PullProblem('stalled', 'slow');
  expect(asPullProblem(problem, url, new AbortController().signal)).toBe(problem);
});
