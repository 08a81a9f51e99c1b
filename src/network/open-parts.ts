import { join } from 'node:path';
import type { Log } from '../lib/log.ts';
import { openRecords, type OpenRecords } from '../records/records.ts';
import { attachmentRecordVersion, hasPluginsAtWork, parseAttachmentRecord } from './attachment-record.ts';
import { makeCniCache } from './cni/cache.ts';
import { makeCni } from './cni/cni.ts';
import { openCniDirectory } from './cni/directory.ts';
import { makeDhcp } from './dhcp/dhcp.ts';
import { makeIpv6Warnings } from './ipv6-warnings.ts';
import { openNamespaces } from './netns.ts';
import type { NetworkOptions } from './network-options.ts';
import { endOrphans } from './orphans.ts';
import type { Parts } from './parts.ts';
import { makeReleases } from './releases.ts';
import { makePci } from './sriov/pci.ts';
import { showLink, type ShowLink } from './sriov/recognition.ts';
import { tearDown } from './teardown.ts';
import type { Turns } from './turns.ts';

/** What comes from outside the room. */
export interface NetworkDeps {
  readonly log: Log;
  /** Default: records in files. */
  readonly openRecords?: OpenRecords;
  /** Default: what the kernel says. */
  readonly showLink?: ShowLink;
}

/** The room's parts, and their end. */
export interface OpenParts {
  readonly parts: Parts;
  /** Ends what runs in the background; everything that was made stays. */
  readonly close: () => void;
}

const openTimeoutMs = 10_000;

/**
 * Opens what the room works with. Before anything else is done, programs are ended that a daemon before this one has left at work on
 * networks.
 */
export async function openParts(options: NetworkOptions, turns: Turns, deps: NetworkDeps): Promise<OpenParts> {
  const { netnsDir, stateDir, runtimeDir, antiSpoofing = true } = options;
  const { sysfsDir = '/sys', vfioDir = '/dev/vfio', waitMs = 10_000 } = options.sriov ?? {};
  const { confDir, binDirs, timeoutMs, pollMs = 5_000, retryMs = 5_000, cacheDir, otherCacheDirs } = options.cni;
  const { log } = deps;
  const open = deps.openRecords ?? openRecords;
  const [records, namespaces, dhcp] = await Promise.all([
    open({ dir: join(stateDir, 'attachments'), version: attachmentRecordVersion, parse: parseAttachmentRecord }),
    openNamespaces(netnsDir, AbortSignal.timeout(openTimeoutMs)),
    makeDhcp(runtimeDir),
  ]);
  const sandboxes = [...records.all()].map(([sandboxId, record]) => {
    return { sandboxId, netnsPath: record.netnsPath, hasPlugins: hasPluginsAtWork(record) };
  });
  const { ended, stuck } = await endOrphans({ stateDir, sandboxes });
  if (ended > 0) log.warn({ processes: ended }, 'programs of a daemon before this one were still at work on networks, ended');
  if (stuck.length > 0) log.error({ pids: stuck }, 'programs of a daemon before this one hang in the kernel, SIGKILL does not end them');

  const cni = makeCni({ binDirs, timeoutMs, stateDir });
  const directory = await openCniDirectory({ confDir, binDirs, pollMs }, { log, cni });
  const closing = new AbortController();
  const releases = makeReleases(
    { firstPauseMs: retryMs, longestPauseMs: 300_000 },
    {
      log,
      release: async (sandboxId, signal) => turns.withPluginsBehind(sandboxId, async () => tearDown(parts, sandboxId, signal), signal),
    },
  );
  const parts: Parts = {
    records,
    namespaces,
    cni,
    cache: makeCniCache(cacheDir, otherCacheDirs),
    directory,
    dhcp,
    functions: { pci: makePci({ sysfsDir, vfioDir }), showLink: deps.showLink ?? showLink, waitMs },
    antiSpoofing,
    releases,
    warnOfIpv6: makeIpv6Warnings(log),
    closing: closing.signal,
    log,
  };
  return {
    parts,
    close: () => {
      closing.abort();
      releases.close();
      directory.close();
    },
  };
}
