import { EventEmitter, once } from 'node:events';
import { watch, type FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';
import { isErrno, messageOf } from '../../lib/errno.ts';
import type { Log } from '../../lib/log.ts';
import { abandonOnAbort } from '../../lib/signals.ts';
import { readyCondition, type Condition } from '../../model/condition.ts';
import { VmletError } from '../../model/errors.ts';
import { programsOf, type NetworkConfig } from './config.ts';
import { listConfigFiles } from './files.ts';
import { makeStatusProbe } from './status.ts';
import type { Cni } from './cni.ts';
import { makePluginVersions, type UnablePlugin } from './plugin-versions.ts';
import { chooseConfig, networkCondition, type CniDirs, type Reading } from '../network-condition.ts';

/** What the configuration directory is read with. */
export interface CniDirectoryOptions extends CniDirs {
  /** Pause between looks at the directory, milliseconds: for what no watch reports (a directory made later, plugins installed). */
  readonly pollMs: number;
}

/** The node's network configuration, followed as it changes. */
export interface CniDirectory {
  /** From memory. */
  readonly condition: () => Condition;
  /** The configuration as it is on disk now. Throws the signal's reason when it is aborted before it is read. Errors: CNI_UNAVAILABLE. */
  readonly current: (signal: AbortSignal) => Promise<NetworkConfig>;
  /**
   * Waits for a configuration that is as wanted, and whose plugins are there and speak its version. Throws when the signal is aborted
   * before there is one.
   */
  readonly whenUsable: (isWanted: (network: NetworkConfig) => boolean, signal: AbortSignal) => Promise<void>;
  readonly close: () => void;
}

/** How long the start of a daemon waits for the first STATUS, milliseconds; it then serves without. */
const firstStatusMs = 2_000;
/** A burst of changes (an installer that writes several files) is looked at once. */
const settleMs = 50;

/**
 * Reads the directory and follows it; asks the plugins for their STATUS at each look that is due, and when the configuration changed. No
 * call waits for that: what they say is informational, an ADD may follow whatever it is (CNI specification, section 2).
 * INVARIANT: looks run one after the other, so that what an older one saw never replaces what a newer one did.
 */
export async function openCniDirectory(
  options: CniDirectoryOptions,
  deps: { readonly log: Log; readonly cni: Pick<Cni, 'missing' | 'status'> },
): Promise<CniDirectory> {
  const { confDir, pollMs } = options;
  let signature = '';
  let reading: Reading = { kind: 'read', files: 0, problems: [] };
  let unable: UnablePlugin | undefined;
  let usable: NetworkConfig | undefined;
  let condition: Condition = readyCondition;
  let watcher: FSWatcher | undefined;
  let settle: NodeJS.Timeout | undefined;
  let closed = false;
  let last: Promise<void> = Promise.resolve();
  const looks = new EventEmitter();
  const probe = makeStatusProbe(deps);
  const versions = makePluginVersions(options.binDirs, () => void look());

  async function look(): Promise<void> {
    last = last.then(lookNow);
    return last;
  }

  async function lookNow(): Promise<void> {
    try {
      const seen = await listConfigFiles(confDir);
      const isNew = seen.signature !== signature || reading.kind !== 'read' || !reading.config;
      const chosen = isNew ? chooseConfig(await seen.read()) : reading;
      signature = seen.signature;
      reading = await withSpokenVersion(chosen);
      if (isNew || configOf(reading) !== configOf(chosen)) void askStatus();
    } catch (error) {
      reading = { kind: isErrno(error, 'ENOENT') ? 'missing' : 'unreadable', problem: messageOf(error) };
    }
    await judge();
    follow();
    looks.emit('look');
  }

  /** At every look, since plugins are upgraded without a change of the directory. */
  async function withSpokenVersion(chosen: Reading): Promise<Reading> {
    const config = configOf(chosen);
    if (!config || chosen.kind !== 'read') return chosen;
    const settled = await versions.settle(config);
    unable = settled.unable;
    return { ...chosen, config: settled.config };
  }

  async function judge(): Promise<void> {
    const config = configOf(reading);
    const absent = config && (await deps.cni.missing(programsOf(config)));
    usable = absent === undefined && unable === undefined ? config : undefined;
    const before = condition;
    condition = networkCondition(options, reading, { absent, unable: config && unable, status: config && probe.of(config) });
    if (before.ready !== condition.ready || before.message !== condition.message) {
      deps.log[condition.ready ? 'info' : 'warn']({ confDir, ...condition }, 'network condition changed');
    }
  }

  async function askStatus(): Promise<void> {
    const config = configOf(reading);
    if (!config || closed) return;
    await probe.ask(config);
    last = last.then(judge);
    return last;
  }

  function follow(): void {
    if (watcher || closed) return;
    try {
      watcher = watch(confDir, { persistent: false }, () => {
        clearTimeout(settle);
        settle = setTimeout(() => void look(), settleMs).unref();
      });
      watcher.once('error', unfollow);
    } catch {
      // No directory yet: the poll finds it.
    }
  }

  function unfollow(): void {
    watcher?.close();
    watcher = undefined;
  }

  async function poll(): Promise<void> {
    const there = await stat(confDir).catch(() => undefined);
    if (!there) unfollow(); // a directory that comes back is another one, which the old watch would not see
    await look();
    void askStatus();
  }

  async function current(signal: AbortSignal): Promise<NetworkConfig> {
    await abandonOnAbort(look(), signal);
    const config = configOf(reading);
    if (config) return config;
    throw new VmletError({ code: 'CNI_UNAVAILABLE' }, condition.message);
  }

  async function whenUsable(isWanted: (network: NetworkConfig) => boolean, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (!usable || !isWanted(usable)) await once(looks, 'look', { signal });
  }

  await look();
  await abandonOnAbort(askStatus(), AbortSignal.timeout(firstStatusMs)).catch(() => undefined);
  const timer = setInterval(() => void poll(), pollMs).unref();
  return {
    condition: () => condition,
    current,
    whenUsable,
    close: () => {
      closed = true;
      clearInterval(timer);
      clearTimeout(settle);
      unfollow();
      probe.close();
      versions.close();
    },
  };
}

function configOf(reading: Reading): NetworkConfig | undefined {
  return reading.kind === 'read' ? reading.config : undefined;
}
