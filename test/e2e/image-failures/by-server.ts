import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { makeAuthority, type Authority } from '../../lib/certificates.ts';
import { newQcow2 } from '../../lib/qcow2.ts';
import { startTlsServer } from '../../lib/tls-server.ts';
import type { ImageAnswer } from '../../node/image-server.ts';
import { noHost, plainAnswer, type Failures } from './staging.ts';

const bytesType = { 'content-type': 'application/octet-stream' } as const;

/** Serves over TLS with a certificate for these names, and answers its address and authority. */
async function tlsServer(
  altNames: readonly string[],
  { isExpired = false, location }: { readonly isExpired?: boolean; readonly location?: string } = {},
): Promise<{ readonly url: string; readonly authority: Authority }> {
  const authority = makeAuthority();
  const { cert, key } = authority.issue({ altNames, isExpired });
  const port = await startTlsServer({ cert, key }, (_request, response) => {
    if (location === undefined) response.end('no');
    else response.writeHead(302, { location }).end();
  });
  return { url: `https://127.0.0.1:${port}/disk`, authority };
}

const status =
  (code: number, headers: Readonly<Record<string, string>> = {}): ImageAnswer =>
  (_request, response) =>
    void response.writeHead(code, { 'content-type': 'text/plain', ...headers }).end('no\n');

const redirect = (location: string): ImageAnswer => status(302, { location });

/** Sends bytes that never end. */
const endless: ImageAnswer = async (_request, response) => {
  response.writeHead(200, bytesType);
  const disk = newQcow2();
  const chunk = Buffer.alloc(2 ** 20, 'x');
  await pipeline(
    Readable.from(
      (function* () {
        yield disk;
        for (;;) yield chunk;
      })(),
    ),
    response,
  ).catch(() => undefined);
};

/** Redirects to what is made of the address that was asked for. */
const redirectFrom =
  (to: (path: string) => string): ImageAnswer =>
  (request, response) =>
    redirect(to(request.url ?? ''))(request, response);

/** What servers of mapped names, and whoever stands between, can do. */
export const serverFailures: Failures = {
  'the host has no address': async (at) => at.mapped({ url: `https://${noHost}/disk.qcow2` }),
  'nobody listens at the address': async (at) => at.mapped({ url: 'http://127.0.0.1:1/disk.qcow2' }),
  'the certificate is for another name': async (at) => {
    const { url, authority } = await tlsServer(['DNS:other.example']);
    return at.mapped({ url }, { ca: authority.certFile });
  },
  'the certificate is of an unknown authority': async (at) => at.mapped({ url: (await tlsServer(['IP:127.0.0.1'])).url }),
  'the certificate has expired': async (at) => {
    const { url, authority } = await tlsServer(['IP:127.0.0.1'], { isExpired: true });
    return at.mapped({ url }, { ca: authority.certFile });
  },
  'https is asked of a server without TLS': async (at) => at.mapped({ url: `${at.node.images.origin.replace('http:', 'https:')}/disk` }),
  'status 401': (at) => at.web(status(401)),
  'status 403': (at) => at.web(status(403)),
  'status 404': (at) => at.web(status(404)),
  'status 429, again and again': (at) => at.web(status(429, { 'retry-after': '0' })),
  'status 500, again and again': (at) => at.web(status(500)),
  'a web page in place of a disk': (at) => at.web(plainAnswer(Buffer.from('<!doctype html><title>Log in</title>'))),
  'a body that ends early, again and again': (at) =>
    at.web((_request, response) => {
      response.writeHead(200, { ...bytesType, 'content-length': 1_000_000 });
      response.write(newQcow2().subarray(0, 4_096), () => response.destroy());
    }),
  'more bytes than the server announced': (at) =>
    at.web((_request, response) => {
      response.writeHead(200, { ...bytesType, 'content-length': 512, connection: 'close' });
      response.end(newQcow2());
    }),
  'more bytes than images.maxBytes, announced': (at) =>
    at.web((_request, response) => {
      response.writeHead(200, { ...bytesType, 'content-length': 2 ** 40 });
      response.write(newQcow2());
    }),
  'more bytes than images.maxBytes, not announced': (at) => at.web(endless),
  'no answer within images.stallTimeout': (at) => at.web(() => undefined),
  'no byte more within images.stallTimeout': (at) =>
    at.web((_request, response) => {
      response.writeHead(200, { ...bytesType, 'content-length': 1_000_000 });
      response.write(newQcow2().subarray(0, 4_096));
    }),
  'other bytes than the digest says': (at) => `${at.web(newQcow2())}@sha256:${'0'.repeat(64)}`,
  'a redirect to a file': (at) => at.web(redirect('file:///etc/passwd')),
  'a redirect from https to http': async (at) => {
    const { url, authority } = await tlsServer(['IP:127.0.0.1'], { location: `${at.node.images.origin}/disk` });
    return at.mapped({ url }, { ca: authority.certFile });
  },
  // The image server is the proxy: through it a server elsewhere answers.
  'a redirect to this node from elsewhere': async (at) => {
    const { origin, serve } = at.node.images;
    serve('elsewhere', redirect(`${origin}/inside`));
    return at.mapped({ url: 'http://elsewhere.example/elsewhere' }, { proxy: origin });
  },
  'a redirect to a link-local address': (at) => at.web(redirect('http://169.254.169.254/latest/meta-data')),
  'a redirect to where we come from': (at) => at.web(redirectFrom((path) => path)),
  'a redirect that leads nowhere': (at) => at.web(redirect('http://[')),
  'more redirects than are followed': (at) => at.web(redirectFrom((path) => `${path}?again`)),
};
