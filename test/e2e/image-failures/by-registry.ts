import { readFileSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';
import { makeAuthority } from '../../lib/certificates.ts';
import {
  digestOf,
  hostArchitecture,
  mediaTypes,
  pushArtifact,
  pushBlob,
  pushContainerDisk,
  pushIndex,
  pushManifest,
  type PushTarget,
} from '../../lib/push-image.ts';
import { newQcow2 } from '../../lib/qcow2.ts';
import { startDouble, type RegistryDouble } from '../../lib/registry-double.ts';
import { serveArtifact } from '../../lib/registry-pull.ts';
import { cosignPayload, makeSigner, signatureManifest, type Signer } from '../../lib/signing.ts';
import { noHost, type Failures, type Staging } from './staging.ts';

const otherArchitecture = hostArchitecture === 'arm64' ? 'amd64' : 'arm64';
const json = { 'content-type': 'application/json' } as const;
const noDigest = `sha256:${'0'.repeat(64)}`;

function target({ registry, repository }: Staging): PushTarget {
  return { registry, repository: repository() };
}

async function pushed(at: Staging, push: (to: PushTarget) => Promise<unknown>, host = 'registry.example'): Promise<string> {
  const to = target(at);
  await push(to);
  return `${host}/${to.repository}:v1`;
}

/** A registry of our own that has an artifact, `vms/one:v1`, unless `guard` answers. */
async function doubled(at: Staging, guard?: (response: ServerResponse, double: RegistryDouble) => void, disk = newQcow2()) {
  const double = await startDouble();
  const paths = serveArtifact(double, disk, (_request, response) => {
    guard?.(response, double);
    return guard !== undefined;
  });
  return { double, paths, reference: `${at.host(`server = "${double.url}"\n`)}/vms/one:v1` };
}

const answering =
  (status: number, headers: Readonly<Record<string, string>> = {}) =>
  async (at: Staging): Promise<string> => {
    const { reference } = await doubled(at, (response) => void response.writeHead(status, { ...json, ...headers }).end('{}'));
    return reference;
  };

async function tlsRegistry(at: Staging, altName: string, isTrusted: boolean): Promise<string> {
  const authority = makeAuthority();
  const { cert, key } = authority.issue({ altNames: [altName] });
  const { url } = await startDouble({ cert, key });
  return `${at.host(`server = "${url}"\n${isTrusted ? `ca = "${authority.certFile}"\n` : ''}`)}/vms/one:v1`;
}

/** An image whose signature, if any, is by `signer`. */
async function signed(at: Staging, signer: Signer | undefined): Promise<string> {
  return pushed(
    at,
    async (to) => {
      const { manifest } = await pushContainerDisk(to, { tag: 'v1', disk: newQcow2() });
      if (!signer) return;
      const payload = cosignPayload(manifest.digest, `signed.example/${to.repository}`);
      for (const blob of [payload, Buffer.from('{}')]) await pushBlob(to, blob, mediaTypes.empty);
      const body = signatureManifest([{ payload, signature: signer.sign(payload) }]);
      const headers = { 'content-type': mediaTypes.manifest };
      const path = `/v2/${to.repository}/manifests/${manifest.digest.replace(':', '-')}.sig`;
      const { status } = await at.registry.call(path, { method: 'PUT', headers, body });
      if (status !== 201) throw new Error(`the signature was not taken: ${status}`);
    },
    'signed.example',
  );
}

/** What registries, and what is in them, can do. */
export const registryFailures: Failures = {
  'the registry has no address': () => `${noHost}/vms/one:v1`,
  'a registry on this node that no hosts.toml names': (at) => `${at.registry.host}/vms/one:v1`,
  'the registry’s certificate is for another name': async (at) => tlsRegistry(at, 'DNS:other.example', true),
  'the registry’s certificate is of an unknown authority': async (at) => tlsRegistry(at, 'IP:127.0.0.1', false),
  'the registry has no TLS and hosts.toml does not say so': (at) => `${at.host(`server = "https://${at.registry.host}"\n`)}/vms/one:v1`,
  'the registry’s hosts.toml cannot be read': (at) => `${at.host('server = \n')}/vms/one:v1`,
  'the registry wants credentials (401)': answering(401, { 'www-authenticate': 'Basic realm="a test"' }),
  'the registry refuses the credentials (401)': async (at) => {
    const reference = await answering(401, { 'www-authenticate': 'Basic realm="a test"' })(at);
    return { reference, auth: { username: 'tester', password: 'wrong' } };
  },
  'the registry denies access (403)': answering(403),
  'the registry has no such image (404)': (at) => `registry.example/${at.repository()}:v1`,
  'the registry is overloaded (429), again and again': answering(429, { 'retry-after': '0' }),
  'the registry answers 500, again and again': answering(500),
  'the token server is at a link-local address': answering(401, { 'www-authenticate': 'Bearer realm="http://169.254.169.254/token"' }),
  'the token server gives none': async (at) => {
    const { reference, double } = await doubled(at, (response, { url }) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${url}/token",service="a test"` }).end();
    });
    double.answer('/token', (_request, response) => void response.writeHead(401, json).end('{}'));
    return reference;
  },
  'mirror and registry both fail': async (at) => {
    const double = await startDouble();
    return `${at.host(`server = "${double.url}"\n[host."http://127.0.0.1:1"]\n`)}/vms/one:v1`;
  },
  'no registry, but a web site': async (at) => {
    const { reference } = await doubled(at, (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'));
    return reference;
  },
  'a manifest of another digest': async (at) => {
    const { double, paths, reference } = await doubled(at);
    double.answer(`/v2/vms/one/manifests/${noDigest}`, (_request, response) => {
      response.setHeader('content-type', mediaTypes.manifest).end(paths.manifest);
    });
    return `${reference}@${noDigest}`;
  },
  'an index without this node’s platform': async (at) =>
    pushed(at, async (to) => {
      const { manifest } = await pushContainerDisk(to, { disk: newQcow2(), architecture: otherArchitecture });
      await pushIndex(to, [{ ...manifest, platform: { os: 'linux', architecture: otherArchitecture } }], 'v1');
    }),
  'an image for another platform': async (at) =>
    pushed(at, async (to) => pushContainerDisk(to, { tag: 'v1', disk: newQcow2(), architecture: otherArchitecture })),
  'an artifact without a disk': async (at) =>
    pushed(at, async (to) =>
      pushArtifact(to, { tag: 'v1', files: [{ content: Buffer.from('a: b\n'), mediaType: 'application/yaml', title: 'values.yaml' }] }),
    ),
  'an artifact with two disks': async (at) =>
    pushed(at, async (to) => {
      const files = ['a.qcow2', 'b.qcow2'].map((title) => ({ content: Buffer.from(title), mediaType: 'application/octet-stream', title }));
      await pushArtifact(to, { tag: 'v1', files });
    }),
  'a layer that lies outside of the registry': async (at) => {
    const foreign = { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', digest: noDigest, size: 1_000 };
    const config = { mediaType: mediaTypes.config, digest: digestOf('{}'), size: 2 };
    const { double, paths, reference } = await doubled(at);
    double.answer(paths.manifestPath, (_request, response) => {
      const layers = [{ ...foreign, urls: ['https://elsewhere.example/layer'] }];
      const manifest = { schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers };
      response.setHeader('content-type', mediaTypes.manifest).end(JSON.stringify(manifest));
    });
    double.answer(`/v2/vms/one/blobs/${config.digest}`, (_request, response) => void response.end('{}'));
    return reference;
  },
  'layers of more bytes than images.maxBytes': async (at) => {
    const { double, paths, reference } = await doubled(at);
    double.answer(paths.manifestPath, (_request, response) => {
      const manifest = JSON.parse(paths.manifest.toString('utf8')) as { layers: { size: number }[] };
      for (const layer of manifest.layers) layer.size = 2 ** 40;
      response.setHeader('content-type', mediaTypes.manifest).end(JSON.stringify(manifest));
    });
    return reference;
  },
  'a blob of another digest': async (at) => {
    const disk = newQcow2();
    const { double, paths, reference } = await doubled(at, undefined, disk);
    double.answer(paths.blobPath, (_request, response) => void response.end(Buffer.alloc(disk.length, 'x')));
    return reference;
  },
  'a blob of fewer bytes than its manifest says': async (at) => {
    const { double, paths, reference } = await doubled(at);
    double.answer(paths.blobPath, (_request, response) => void response.end('short'));
    return reference;
  },
  'a blob of more bytes than its manifest says': async (at) => {
    const disk = newQcow2();
    const { double, paths, reference } = await doubled(at, undefined, disk);
    double.answer(paths.blobPath, (_request, response) => void response.end(Buffer.concat([disk, disk])));
    return reference;
  },
  'a signature is wanted and missing': async (at) => signed(at, undefined),
  'a signature is by another key': async (at) => signed(at, makeSigner()),
  'the policy refuses the repository': async (at) =>
    pushed(at, async (to) => pushContainerDisk(to, { tag: 'v1', disk: newQcow2() }), 'refused.example'),
  'a signature is wanted of what comes from no registry': () => 'signed.example/web/disk:1',
  'the signature policy cannot be read': async (at) => {
    await breakPolicy(at);
    return at.web(newQcow2());
  },
};

/** Until the running test ends. */
async function breakPolicy({ files: { policyFile }, reload }: Staging): Promise<void> {
  const text = readFileSync(policyFile, 'utf8');
  writeFileSync(policyFile, 'version: 2\n');
  onTestFinished(() => writeFileSync(policyFile, text)); // what cannot be read is read again each time
  await reload();
}

/** Pushes a manifest of these layers. */
export async function pushLayers(
  at: Staging,
  layers: readonly { readonly content: Buffer; readonly mediaType?: string }[],
): Promise<string> {
  return pushed(at, async (to) => {
    const config = await pushBlob(to, Buffer.from(JSON.stringify({ os: 'linux', architecture: hostArchitecture })), mediaTypes.config);
    const descriptors = [];
    for (const { content, mediaType = mediaTypes.tar } of layers) descriptors.push(await pushBlob(to, content, mediaType));
    await pushManifest(to, { schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: descriptors } as const, 'v1');
  });
}
