import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { identityElement } from '../../src/hypervisor/metadata.ts';
import { writeXml } from '../../src/hypervisor/xml.ts';
import type { HelperIdentity } from '../../src/lib/helper-process.ts';
import { randomId, uuidFromId } from '../../src/lib/ids.ts';
import { domainNameOf, tapNameOf } from '../../src/model/container.ts';

/** What one pod has left in a node's state directory, as the daemon wrote it. */
export interface PodRecords {
  readonly sandbox: string;
  readonly container: string;
  readonly attachment: string;
}

/** A pod that was made up from another's records. */
export interface MadePod {
  readonly sandboxId: string;
  readonly containerId: string;
  readonly netnsPath: string;
  readonly domainXml: string;
}

const dirs = { sandbox: 'records/sandboxes', container: 'records/containers', attachment: 'network/attachments' } as const;

/** Reads the records of the only pod of a node. */
export function readPodRecords(stateDir: string): PodRecords {
  const read = (dir: string): string => {
    const [name = ''] = readdirSync(join(stateDir, dir)).filter((file) => file.endsWith('.json'));
    return readFileSync(join(stateDir, dir, name), 'utf8');
  };
  return { sandbox: read(dirs.sandbox), container: read(dirs.container), attachment: read(dirs.attachment) };
}

const recordId = z.object({ record: z.object({ id: z.string() }) });
const logDirectory = z.object({ record: z.object({ config: z.object({ logDirectory: z.string() }) }) });
const netns = z.object({ record: z.object({ netnsPath: z.string() }) });

/**
 * Writes `count` pods like that one, with ids, names, creation times and DHCP servers (`serverOf`) of their own; answers what else they
 * need.
 */
export function writePods(
  stateDir: string,
  from: PodRecords,
  count: number,
  serverOf: (sandboxId: string) => HelperIdentity,
): readonly MadePod[] {
  for (const dir of Object.values(dirs)) mkdirSync(join(stateDir, dir), { recursive: true, mode: 0o700 });
  const old = {
    sandboxId: recordId.parse(JSON.parse(from.sandbox)).record.id,
    containerId: recordId.parse(JSON.parse(from.container)).record.id,
    logDirectory: logDirectory.parse(JSON.parse(from.sandbox)).record.config.logDirectory,
    netnsPath: netns.parse(JSON.parse(from.attachment)).record.netnsPath,
  };
  return Array.from({ length: count }, (_, index) => {
    const [sandboxId, containerId] = [randomId(), randomId()];
    const netnsPath = `/run/netns/vmlet-${sandboxId.slice(0, 12)}`;
    const name = `pod-${index}`;
    const server = JSON.stringify(serverOf(sandboxId));
    const rewrite = (text: string): string =>
      text
        .replaceAll(old.sandboxId, sandboxId)
        .replaceAll(old.containerId, containerId)
        .replaceAll(old.netnsPath, netnsPath)
        .replaceAll(old.logDirectory, join(stateDir, 'logs', name))
        .replaceAll(domainNameOf(old.containerId), domainNameOf(containerId))
        .replaceAll(tapNameOf(old.containerId), tapNameOf(containerId))
        .replaceAll('"name":"scale"', `"name":"${name}"`)
        .replace(/"createdAtNs":"[0-9]+"/, `"createdAtNs":"${1_700_000_000_000_000_000n + BigInt(index)}"`)
        .replace(/"uid":[0-9]+/, `"uid":${1_500_000_000 + index}`)
        .replace(/"dhcp":\{[^}]*\}/, `"dhcp":${server}`);
    const vmDir = join(stateDir, 'vms', containerId.slice(0, 12));
    mkdirSync(vmDir, { recursive: true, mode: 0o711 });
    writeFileSync(join(vmDir, 'console.log'), 'a line\n', { mode: 0o600 });
    writeFileSync(join(stateDir, dirs.sandbox, `${sandboxId}.json`), rewrite(from.sandbox), { mode: 0o600 });
    writeFileSync(join(stateDir, dirs.container, `${containerId}.json`), rewrite(from.container), { mode: 0o600 });
    writeFileSync(join(stateDir, dirs.attachment, `${sandboxId}.json`), rewrite(from.attachment), { mode: 0o600 });
    const pod = { namespace: 'default', podName: name, podUid: '3f2504e0-4f89-41d3-9a0c-0305e82c3301' };
    const metadata = identityElement({ sandboxId, containerId, ...pod, sandboxAttempt: 0, containerName: 'vm', containerAttempt: 0 });
    const domainXml = writeXml({
      domain: {
        '@type': 'test',
        name: domainNameOf(containerId),
        uuid: uuidFromId(sandboxId),
        metadata,
        memory: { '@unit': 'MiB', '#': 32 },
        vcpu: 1,
        os: { type: 'hvm' },
      },
    });
    return { sandboxId, containerId, netnsPath, domainXml };
  });
}
