import { join } from 'node:path';
import type { TlsSettings, Transport } from '../http/transport.ts';
import { dockerLayout, readCertificates } from './host-certificates.ts';
import { parseHostsFile, type HostSettings } from './hosts-toml.ts';
import type { RegistryHost } from './registry-host.ts';
import { apiHostOf } from './repository-name.ts';
import { firstDirectory, readTextFile } from './hosts-directory.ts';

/** Where configuration of registries lies and what holds where it says nothing. */
export interface HostsPlace {
  /** `images.registryHostsDir`. */
  readonly hostsDir: string;
  readonly transport: Transport;
  /** Answers equal settings with the same object, for which a transport keeps what it made of the certificates. */
  readonly sameTls: (tls: TlsSettings) => TlsSettings;
}

/**
 * The servers that may have images of the registry `host`, in the order in which they are asked: its mirrors, then itself. Reads the first directory
 * there is of `HOST_PORT_`, `HOST:PORT` and `_default`: its hosts.toml or, without one, certificates by their names. Throws INVALID naming file and key.
 */
export async function readRegistryHosts(host: string, place: HostsPlace): Promise<readonly RegistryHost[]> {
  const { hostsDir, transport, sameTls } = place;
  const dir = await firstDirectory(hostsDir, directoriesOf(host));
  const itself = new URL(`https://${apiHostOf(host)}/v2`);
  if (dir === undefined) {
    const hints = hintsFor(join(hostsDir, host), false);
    return [{ ...plainHost(itself), isConfigured: false, transport, hints }];
  }
  const isOwn = dir !== join(hostsDir, defaultDirectory);
  const file = join(dir, hostsFile);
  const text = await readTextFile(file);
  if (text === undefined || text.trim() === '') {
    const tls = sameTls(await readCertificates(dir, await dockerLayout(dir)));
    const hints = hintsFor(isOwn ? dir : join(hostsDir, host), false);
    return [{ ...plainHost(itself), isConfigured: isOwn, transport: { ...transport, tls }, hints }];
  }
  const { mirrors, server } = parseHostsFile(text, file);
  const hosts: RegistryHost[] = [];
  for (const settings of [...mirrors, server]) {
    const tls = sameTls({ ...(await readCertificates(dir, settings)), skipVerify: settings.skipVerify });
    hosts.push(hostOf(settings, { itself, isOwn, isServer: settings === server, transport, tls, dir }));
  }
  return hosts;
}

const hostsFile = 'hosts.toml';
const defaultDirectory = '_default';

function directoriesOf(host: string): readonly string[] {
  const underscored = host.replace(/:([0-9]+)$/, '_$1_');
  return [...new Set([underscored, host]), defaultDirectory];
}

function plainHost(url: URL): Pick<RegistryHost, 'url' | 'isRegistryItself' | 'canPull' | 'canResolve' | 'headers'> {
  return { url, isRegistryItself: true, canPull: true, canResolve: true, headers: {} };
}

interface HostContext {
  readonly itself: URL;
  /** Whether the directory is this registry's own, not the one for all. */
  readonly isOwn: boolean;
  readonly isServer: boolean;
  readonly transport: Transport;
  readonly tls: TlsSettings;
  readonly dir: string;
}

function hostOf(settings: HostSettings, { itself, isOwn, isServer, transport, tls, dir }: HostContext): RegistryHost {
  const { url = itself, canPull, canResolve, headers, connectTimeoutMs = transport.connectTimeoutMs } = settings;
  return {
    url,
    isRegistryItself: url.host === itself.host || (isServer && isOwn),
    canPull,
    canResolve,
    isConfigured: isOwn || settings.url !== undefined,
    headers,
    transport: { ...transport, connectTimeoutMs, tls },
    hints: hintsFor(dir, true),
  };
}

function hintsFor(dir: string, hasFile: boolean): RegistryHost['hints'] {
  const file = join(dir, hostsFile);
  return hasFile
    ? { ca: `name its authority's file as ca in ${file}`, client: `name one as client in ${file}` }
    : {
        ca: `put its authority's certificate into ${dir}/ca.crt`,
        client: `put one into ${dir}/client.cert and its key into ${dir}/client.key`,
      };
}
