import { describe, expect, test } from 'vitest';
import type { HttpRequest } from '../../../../src/images/http/http-client.ts';
import { readBody } from '../../../../src/images/http/read-body.ts';
import type { Resolver } from '../../../../src/images/http/http-get.ts';
import { startDiskServer, type DiskServer } from '../../../lib/disk-server.ts';
import { openClient, resolverOf, type ClientFields } from '../../../lib/http-client.ts';

const signal = AbortSignal.timeout(60_000);

/** Stands in for a server on the Internet: its address is allowed, and whoever sent us there is public. */
const outside = '127.0.0.2';
const fromOutside = { allowed: [outside], names: { 'outside.example': [outside], 'inside.example': ['127.0.0.1'] } } as const;

interface Staged {
  readonly request: Omit<HttpRequest, 'url'> & { readonly url: string };
  readonly client?: ClientFields;
  readonly refused: 'address-forbidden' | 'downgrade' | 'answer';
}

function portOf(server: DiskServer): string {
  return new URL(server.url).port;
}

/** A server that sends everybody elsewhere. */
async function redirecting(location: string): Promise<string> {
  const server = await startDiskServer(outside);
  server.answer('/', (_request, response) => void response.writeHead(302, { location }).end());
  return `http://outside.example:${portOf(server)}/`;
}

async function redirectTo(location: string): Promise<Staged> {
  const url = await redirecting(location);
  return { request: { url, isConfigured: true, referredFrom: 'public' }, client: fromOutside, refused: 'address-forbidden' };
}

function byName(addresses: readonly string[], port: string): Staged {
  const names = { 'inside.example': addresses };
  return { request: { url: `http://inside.example:${port}/`, isConfigured: true }, client: { names }, refused: 'address-forbidden' };
}

/** Every rule with what it must keep from a server on loopback, which has port `port`. */
const rules: readonly (readonly [rule: string, stage: (port: string) => Staged | Promise<Staged>])[] = [
  ['a name may not lead to loopback', (port) => byName(['127.0.0.1'], port)],
  ['nor to another address of loopback', (port) => byName(['127.0.0.2'], port)],
  ['nor to 0.0.0.0', (port) => byName(['0.0.0.0'], port)],
  ['nor to ::', (port) => byName(['::'], port)],
  ['nor to v4-mapped loopback', (port) => byName(['::ffff:127.0.0.1'], port)],
  ['nor to loopback through NAT64', (port) => byName(['64:ff9b::7f00:1'], port)],
  ['nor to link-local', () => byName(['169.254.169.254'], '80')],
  ['nor to link-local of IPv6', () => byName(['fe80::1'], '80')],
  ['nor to a metadata service that is not link-local', () => byName(['fd00:ec2::254'], '80')],
  ['one bad address of several is enough', (port) => byName(['198.51.100.1', '127.0.0.1'], port)],
  [
    'a host that a pod’s author wrote may not be loopback, in any spelling',
    (port) => ({ request: { url: `http://127.0.0.1:${port}/`, isConfigured: false }, refused: 'address-forbidden' }),
  ],
  ['... as a number', (port) => ({ request: { url: `http://2130706433:${port}/`, isConfigured: false }, refused: 'address-forbidden' })],
  ['... as hexadecimal', (port) => ({ request: { url: `http://0x7f.1:${port}/`, isConfigured: false }, refused: 'address-forbidden' })],
  ['... as octal', (port) => ({ request: { url: `http://0177.0.0.01:${port}/`, isConfigured: false }, refused: 'address-forbidden' })],
  ['... as IPv6', (port) => ({ request: { url: `http://[::ffff:7f00:1]:${port}/`, isConfigured: false }, refused: 'address-forbidden' })],
  [
    '... as localhost',
    (port) => ({
      request: { url: `http://localhost:${port}/`, isConfigured: false },
      client: { names: { localhost: ['127.0.0.1'] } },
      refused: 'address-forbidden',
    }),
  ],
  ['a redirect may not lead to loopback', async (port) => redirectTo(`http://127.0.0.1:${port}/`)],
  ['... as a number', async (port) => redirectTo(`http://2130706433:${port}/`)],
  ['... without a protocol', async (port) => redirectTo(`//0x7f000001:${port}/`)],
  ['... as 0.0.0.0', async (port) => redirectTo(`http://0:${port}/`)],
  ['... as v4-mapped IPv6', async (port) => redirectTo(`http://[::ffff:127.0.0.1]:${port}/`)],
  ['... as NAT64', async (port) => redirectTo(`http://[64:ff9b::127.0.0.1]:${port}/`)],
  ['... by name', async (port) => redirectTo(`http://inside.example:${port}/`)],
  ['... through another redirect', async (port) => redirectTo(await redirecting(`http://127.0.0.1:${port}/`))],
  ['a redirect may not lead to link-local', async () => redirectTo('http://169.254.169.254/latest/meta-data')],
  ['a redirect may not lead to a private network', async () => redirectTo('http://10.0.0.1/')],
  ['nor to a unique local one', async () => redirectTo('http://[fd00::1]/')],
  ['a redirect may not lead to a file', async () => ({ ...(await redirectTo('file:///etc/passwd')), refused: 'downgrade' })],
  ['nor to another protocol', async () => ({ ...(await redirectTo('gopher://127.0.0.1:70/_x')), refused: 'downgrade' })],
  ['an address with a zone is none', async () => ({ ...(await redirectTo('http://[fe80::1%25lo]/')), refused: 'answer' })],
];

describe('what may not be reached, and is not asked', () => {
  test.each(rules)('%s', async (_rule, stage) => {
    const inside = await startDiskServer();
    inside.answer('/', Buffer.from('inside'));
    const { request, client, refused } = await stage(portOf(inside));
    await expect(openClient(client).send({ ...request, url: new URL(request.url) }, signal)).rejects.toThrow(
      expect.objectContaining({ name: 'PullProblem', kind: refused, registryAway: false }),
    );
    expect(inside.requests).toEqual([]);
  });
});

describe('what may', () => {
  test.each<[string, (port: string) => Omit<Staged, 'refused'>]>([
    ['loopback that the operator wrote', (port) => ({ request: { url: `http://127.0.0.1:${port}/`, isConfigured: true } })],
    [
      'localhost that the operator wrote',
      (port) => ({
        request: { url: `http://localhost:${port}/`, isConfigured: true },
        client: { names: { localhost: ['127.0.0.1'] } },
      }),
    ],
    [
      'a name in a network that is allowed',
      (port) => ({
        request: { url: `http://inside.example:${port}/`, isConfigured: false },
        client: { allowed: ['127.0.0.0/8'], names: { 'inside.example': ['127.0.0.1'] } },
      }),
    ],
    [
      'a v4-mapped answer in a network that is allowed',
      (port) => ({
        request: { url: `http://inside.example:${port}/`, isConfigured: false },
        client: { allowed: ['127.0.0.1'], names: { 'inside.example': ['::ffff:127.0.0.1'] } },
      }),
    ],
  ])('%s', async (_name, stage) => {
    const inside = await startDiskServer();
    inside.answer('/', Buffer.from('inside'));
    const { request, client } = stage(portOf(inside));
    const answer = await openClient(client).send({ ...request, url: new URL(request.url) }, signal);
    expect(String(await readBody(answer, 100, signal))).toBe('inside');
    expect(answer.range).toBe('loopback');
  });

  test('a redirect within the network that the first host is in', async () => {
    const [first, second] = [await startDiskServer(), await startDiskServer('127.0.0.3')];
    first.answer('/', (_request, response) => void response.writeHead(307, { location: `${second.url}/` }).end());
    second.answer('/', Buffer.from('x'));
    const answer = await openClient().send({ url: new URL(`${first.url}/`), isConfigured: true }, signal);
    expect([answer.status, answer.url.href, answer.range]).toEqual([200, `${second.url}/`, 'loopback']);
  });
});

describe('DNS answers that change', () => {
  /** Answers one list after the other, the last one for ever. */
  function changing(...answers: readonly (readonly string[])[]): Resolver & { readonly asked: () => number } {
    let asked = 0;
    const resolver: Resolver = (hostname, done) => {
      resolverOf({ [hostname]: answers[Math.min(asked, answers.length - 1)] ?? [] })(hostname, done);
      asked += 1;
    };
    return Object.assign(resolver, { asked: () => asked });
  }

  test('between two connections: the second one is refused', async () => {
    const [outer, inner] = [await startDiskServer(outside), await startDiskServer()];
    outer.answer('/', (_request, response) => void response.writeHead(302, { location: `http://rebound.example:${portOf(inner)}/` }).end());
    const resolver = changing([outside], ['127.0.0.1']);
    const url = new URL(`http://rebound.example:${portOf(outer)}/`);
    await expect(
      openClient({ allowed: [outside], resolver }).send({ url, isConfigured: true, referredFrom: 'public' }, signal),
    ).rejects.toThrow(/leads to 127\.0\.0\.1/);
    expect([outer.requests.length, inner.requests.length, resolver.asked()]).toEqual([1, 0, 2]);
  });

  test('within one connection: what was judged is what is connected to, the name is asked once', async () => {
    const outer = await startDiskServer(outside);
    outer.answer('/', Buffer.from('outside'));
    const resolver = changing([outside], ['127.0.0.1']);
    const url = new URL(`http://rebound.example:${portOf(outer)}/`);
    const answer = await openClient({ allowed: [outside], resolver }).send({ url, isConfigured: false }, signal);
    expect(String(await readBody(answer, 100, signal))).toBe('outside');
    expect(resolver.asked()).toBe(1);
  });

  test('behind a connection that is kept open: it is judged again, and nothing is sent on it', async () => {
    const inside = await startDiskServer();
    inside.answer('/', Buffer.from('inside'));
    const resolver = changing(['127.0.0.1'], ['198.51.100.1']);
    const url = new URL(`http://rebound.example:${portOf(inside)}/`);
    const client = openClient({ resolver });
    await readBody(await client.send({ url, isConfigured: true, referredFrom: 'loopback' }, signal), 100, signal);
    await readBody(await client.send({ url, isConfigured: true, referredFrom: 'loopback' }, signal), 100, signal);
    expect([inside.requests.length, resolver.asked()]).toEqual([2, 1]); // the second one on the same connection
    await expect(client.send({ url, isConfigured: true, referredFrom: 'public' }, signal)).rejects.toThrow(
      expect.objectContaining({ kind: 'address-forbidden' }),
    );
    expect([inside.requests.length, resolver.asked()]).toEqual([2, 1]);
  });
});
