import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { invalid, type VmletError } from '../../model/errors.ts';
import { parseHeaders, parseHostUrl, parseGoDuration } from './host-values.ts';

/** What a hosts.toml says of one host; paths as written. */
export interface HostSettings {
  /** Base of its API; `undefined` for a registry whose file names no `server`. */
  readonly url: URL | undefined;
  /** May be asked for digests. */
  readonly canPull: boolean;
  /** May be asked what a tag means. */
  readonly canResolve: boolean;
  readonly caFiles: readonly string[];
  readonly clientFiles: readonly { readonly cert: string; readonly key: string }[];
  readonly skipVerify: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly connectTimeoutMs: number | undefined;
}

/** A hosts.toml. */
export interface HostsFile {
  /** To be asked before the server, in this order. */
  readonly mirrors: readonly HostSettings[];
  readonly server: HostSettings;
}

const strings = z.union([z.string(), z.array(z.string())]);
const certificatePair = z.union([z.tuple([z.string()]), z.tuple([z.string(), z.string()])]);

const hostKeys = {
  capabilities: z.array(z.enum(['pull', 'resolve', 'push', 'referrers'])).optional(),
  ca: strings.optional(),
  client: z.union([z.string(), z.array(z.union([z.string(), certificatePair]))]).optional(),
  skip_verify: z.boolean().optional(),
  override_path: z.boolean().optional(),
  header: z.record(z.string(), strings).optional(),
  dial_timeout: z.string().optional(),
};
const hostTable = z.strictObject(hostKeys);
const fileTable = z.strictObject({ ...hostKeys, server: z.string().optional(), host: z.record(z.string(), hostTable).optional() });

type HostTable = z.output<typeof hostTable>;

/**
 * Reads a hosts.toml in containerd's layout: `server`, keys of the server itself, and `[host."https://mirror"]` tables in their order. Throws INVALID
 * that names `file` and the key: for what is no TOML, for unknown keys, and for values that cannot be. Source: containerd's docs/hosts.md.
 */
export function parseHostsFile(text: string, file: string): HostsFile {
  const fail = (key: string, problem: string): VmletError => invalid(file, key === '' ? problem : `${key}: ${problem}`);
  const { server, host = {}, ...ofServer } = checked(tableOf(text, fail), fail);
  const mirrors = Object.entries(host).map(([name, table]) => {
    const key = `host.${JSON.stringify(name)}`;
    return settingsOf(name, table, (inner, problem) => fail(inner === '' ? key : `${key}.${inner}`, problem));
  });
  const serverName = server === '' ? undefined : server;
  return { mirrors, server: settingsOf(serverName, ofServer, (key, problem) => fail(key === '' ? 'server' : key, problem)) };
}

type Fail = (key: string, problem: string) => VmletError;

function tableOf(text: string, fail: Fail): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw fail('', `is no TOML at line ${error.line}, column ${error.column}`);
  }
}

function checked(table: unknown, fail: Fail): z.output<typeof fileTable> {
  const result = fileTable.safeParse(table);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = (issue?.path ?? []).map((part) => (/^[a-z_]+$/.test(String(part)) ? String(part) : JSON.stringify(part)));
  if (issue?.code === 'unrecognized_keys') throw fail([...path, ...issue.keys].join('.'), 'is no key that this file may have');
  throw fail(
    path.join('.'),
    expected[String(issue?.path.findLast((part) => Object.hasOwn(expected, part)))] ?? 'has a value of the wrong kind',
  );
}

const expected: Readonly<Record<string, string>> = {
  capabilities: 'must be a list of "pull", "resolve", "push"',
  ca: 'must be a path or a list of paths',
  client: 'must be a path, a list of paths, or a list of [certificate, key] pairs',
  skip_verify: 'must be true or false',
  override_path: 'must be true or false',
  header: 'must be a table of texts or lists of texts',
  dial_timeout: 'must be a duration in quotes, like "5s"',
  server: 'must be an address in quotes',
  host: 'must be a table for each mirror: [host."https://mirror.example"]',
};

function settingsOf(name: string | undefined, table: HostTable, fail: Fail): HostSettings {
  const { capabilities = ['pull', 'resolve'], ca = [], client = [], header = {}, dial_timeout: timeout } = table;
  const url = name === undefined ? undefined : parseHostUrl(name, table.override_path ?? false);
  if (typeof url === 'string') throw fail('', url);
  const connectTimeoutMs = timeout === undefined ? undefined : parseGoDuration(timeout);
  if (timeout !== undefined && connectTimeoutMs === undefined) throw fail('dial_timeout', 'must be a duration like "5s" (1ms to 1h)');
  const headers = parseHeaders(header);
  if ('problem' in headers) throw fail(`header.${JSON.stringify(headers.key)}`, headers.problem);
  return {
    url,
    canPull: capabilities.includes('pull'),
    canResolve: capabilities.includes('resolve'),
    caFiles: [ca].flat(),
    clientFiles: (typeof client === 'string' ? [client] : client).map(pairOf),
    skipVerify: table.skip_verify ?? false,
    headers: headers.fields,
    connectTimeoutMs,
  };
}

/** One file may hold both certificate and key. */
function pairOf(entry: string | readonly string[]): { readonly cert: string; readonly key: string } {
  const [cert = '', key = ''] = typeof entry === 'string' ? [entry] : entry;
  return { cert, key: key === '' ? cert : key };
}
