import { isAlive } from '../../lib/helper-process.ts';
import { serve } from '../links/joint.ts';
import type { Parts } from '../parts.ts';
import type { Turn } from '../turns.ts';

/** How often DHCP servers are looked at. */
export interface DhcpWatchOptions {
  /** Milliseconds; also the pause after the first failure, which doubles up to `longestPauseMs`. */
  readonly periodMs: number;
  readonly longestPauseMs: number;
}

/** What a watch works with. */
export interface DhcpWatchDeps {
  readonly parts: Parts;
  readonly turn: Turn;
  /** Told when a server has taken the place of one that had died. */
  readonly replaced: (sandboxId: string) => void;
}

/**
 * Keeps the DHCP servers of running VMs alive while the daemon lives. A guest asks again when its link or its daemon starts anew, at any
 * time: who serves it may have been killed by hand, or by the kernel for memory. The same configuration and the same file of leases give
 * the same addresses. INVARIANT: of one sandbox at most one server is being started here.
 */
export interface DhcpWatch {
  /** A sandbox whose VM is on its network. */
  readonly begin: (sandboxId: string) => void;
  /** Its VM is no more. */
  readonly end: (sandboxId: string) => void;
  readonly close: () => void;
}

/** Begins to watch; nothing is watched yet. */
export function watchDhcp({ periodMs, longestPauseMs }: DhcpWatchOptions, { parts, turn, replaced }: DhcpWatchDeps): DhcpWatch {
  const { records, log } = parts;
  const watched = new Map<string, { readonly failures: number; readonly notBefore: number }>();
  const mending = new Set<string>();
  const closing = new AbortController();
  const fresh = { failures: 0, notBefore: 0 };

  const isDead = (sandboxId: string): boolean => {
    const { dhcp, joint } = records.get(sandboxId) ?? {};
    if (!watched.has(sandboxId) || dhcp === undefined || joint?.state !== 'made') return false;
    try {
      return !isAlive(dhcp);
    } catch {
      return false; // it cannot be seen, on a node out of descriptors for one: a next look tells
    }
  };

  async function mend(sandboxId: string): Promise<void> {
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(mendTimeoutMs)]);
    const work = async (): Promise<void> => {
      const record = records.get(sandboxId);
      if (!isDead(sandboxId) || !record?.added || !record.joint) return;
      log.warn({ sandboxId, pid: record.dhcp?.pid }, 'DHCP server has died, starting another');
      await serve(parts, { ...record, added: record.added }, record.joint.tap, signal);
      replaced(sandboxId);
    };
    try {
      await turn(sandboxId, work, signal);
      if (watched.has(sandboxId)) watched.set(sandboxId, fresh);
    } catch (error) {
      const failures = (watched.get(sandboxId)?.failures ?? 0) + 1;
      const pauseMs = Math.min(periodMs * 2 ** failures, longestPauseMs);
      if (watched.has(sandboxId)) watched.set(sandboxId, { failures, notBefore: performance.now() + pauseMs });
      if (!closing.signal.aborted) log.error({ sandboxId, err: error, pauseMs }, 'no DHCP for a VM; it is tried again');
    }
  }

  const timer = setInterval(() => {
    const now = performance.now();
    for (const [sandboxId, { notBefore }] of watched) {
      if (now < notBefore || mending.has(sandboxId) || !isDead(sandboxId)) continue;
      mending.add(sandboxId);
      void mend(sandboxId).finally(() => mending.delete(sandboxId));
    }
  }, periodMs);
  timer.unref();

  return {
    begin: (sandboxId) => void watched.set(sandboxId, fresh),
    end: (sandboxId) => void watched.delete(sandboxId),
    close: () => {
      closing.abort();
      clearInterval(timer);
    },
  };
}

const mendTimeoutMs = 30_000;
