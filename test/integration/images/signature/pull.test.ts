import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openImages } from '../../../lib/image-store.ts';
import { pushBlob, pushContainerDisk, pushManifest, mediaTypes, type PushTarget } from '../../../lib/push-image.ts';
import { newQcow2 } from '../../../lib/qcow2.ts';
import { startRegistry } from '../../../lib/registry.ts';
import { cosignPayload, makeSigner, type Signer } from '../../../lib/signing.ts';
import { tempDir } from '../../../lib/temp.ts';

const signal = AbortSignal.timeout(60_000);

/** A store that wants signatures by `signer` of what lies in the registry, and takes nothing else. */
async function strictStore(target: PushTarget, signer: Signer) {
  const dir = tempDir();
  const { host, url } = target.registry;
  const files = {
    'key.pem': signer.publicPem,
    'policy.yaml': `version: 1\ndefault: refuse\nrepositories: { "${host}": { require: { keys: [${join(dir, 'key.pem')}] } } }\n`,
    [`certs.d/${host}/hosts.toml`]: `server = "${url}"\n`,
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return openImages({ registryHostsDir: join(dir, 'certs.d'), signaturePolicy: join(dir, 'policy.yaml') });
}

/** Signs an image as cosign does, in its own repository. */
async function signImage(target: PushTarget, digest: string, signer: Signer): Promise<void> {
  const payload = cosignPayload(digest, `${target.registry.host}/${target.repository}`);
  const layer = await pushBlob(target, payload, 'application/vnd.dev.cosign.simplesigning.v1+json');
  const annotations = { 'dev.cosignproject.cosign/signature': signer.sign(payload).toString('base64') };
  const config = await pushBlob(target, Buffer.from('{}'), mediaTypes.config);
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: [{ ...layer, annotations }] } as const;
  await pushManifest(target, manifest, `${digest.replace(':', '-')}.sig`);
}

describe('a node that wants signatures', () => {
  test('takes an image that is signed by the key, by tag and by digest, and no other', async () => {
    const target = { registry: await startRegistry(), repository: 'team/vm' };
    const signer = makeSigner();
    const { manifest } = await pushContainerDisk(target, { tag: 'signed', disk: newQcow2('16M') });
    const { manifest: unsigned } = await pushContainerDisk(target, { tag: 'unsigned', disk: newQcow2('32M') });
    const { manifest: other } = await pushContainerDisk(target, { tag: 'other', disk: newQcow2('64M') });
    await signImage(target, manifest.digest, signer);
    await signImage(target, other.digest, makeSigner());
    const images = await strictStore(target, signer);
    const name = `${target.registry.host}/team/vm`;
    const image = await images.pull({ reference: `${name}:signed` }, signal);
    expect((await images.pull({ reference: `${name}@${manifest.digest}` }, signal)).id).toBe(image.id);
    for (const [reference, why] of [
      [`${name}:unsigned`, 'has no signature'],
      [`${name}@${unsigned.digest}`, 'has no signature'],
      [`${name}:other`, 'by none of the keys'],
      ['mapped.example/disk:1', 'refuses'],
    ] as const) {
      await expect(images.pull({ reference }, signal)).rejects.toThrow(
        expect.objectContaining({ facts: expect.objectContaining({ code: 'PULL_FAILED' }), message: expect.stringContaining(why) }),
      );
    }
    expect(images.list()).toHaveLength(1);
  });

  test('asks for one again when the disk is here already: content is no way around the policy', async () => {
    const target = { registry: await startRegistry(), repository: 'team/vm' };
    const signer = makeSigner();
    const disk = newQcow2('16M');
    const { manifest } = await pushContainerDisk(target, { tag: 'signed', disk });
    await signImage(target, manifest.digest, signer);
    const images = await strictStore(target, signer);
    await images.pull({ reference: `${target.registry.host}/team/vm:signed` }, signal);
    const copy = { ...target, repository: 'elsewhere/vm' };
    await pushContainerDisk(copy, { tag: '1', disk });
    await expect(images.pull({ reference: `${target.registry.host}/elsewhere/vm:1` }, signal)).rejects.toThrow('has no signature');
    expect(images.list()[0]?.repoTags).toEqual([`${target.registry.host}/team/vm:signed`]);
  });
});
