import { messageOf } from '../lib/errno.ts';
import type { Container, GuestReport } from '../model/container.ts';
import type { PodsContext } from './context.ts';
import { vmPaths } from './layout.ts';

/** How long an ended VM's last words may be on their way. */
const lastWordsMs = 1_000;
const keepTimeoutMs = 30_000;

/** Listens for what the guest says of its own end; one that is listened to is fine. */
export function followReports(context: PodsContext, container: Container): void {
  const { hypervisor, options, reports } = context;
  if (reports.has(container.id)) return;
  const { reportSocket } = vmPaths(options.stateDir, options.runtimeDir, container.id);
  let latest: GuestReport | undefined = container.report;
  let keeping: Promise<void> | undefined;

  // A guest may write as often as it likes: the record is written once at a time, with the newest report.
  function keep(): void {
    keeping ??= keepReport(context, container.id, () => latest).finally(() => {
      keeping = undefined;
    });
  }

  const port = hypervisor.followReports(reportSocket, (report) => {
    latest = report;
    keep();
  });
  reports.set(container.id, { port, latest: () => latest });
}

/** The guest's last report, once all that it wrote has been heard; stops listening. Called when the VM has ended. */
export async function lastReport(context: PodsContext, container: Container): Promise<GuestReport | undefined> {
  const followed = context.reports.get(container.id);
  if (!followed) return container.report;
  await followed.port.heard(lastWordsMs);
  dropReports(context, container.id);
  return followed.latest();
}

/** Stops listening; what was not listened to is fine. */
export function dropReports({ reports }: PodsContext, containerId: string): void {
  reports.get(containerId)?.port.close();
  reports.delete(containerId);
}

/** Keeps a report so that a restart of the daemon does not lose it. */
async function keepReport({ locks, store, log }: PodsContext, containerId: string, latest: () => GuestReport | undefined): Promise<void> {
  const sandboxId = store.containers.get(containerId)?.sandboxId;
  if (sandboxId === undefined) return;
  try {
    using _lock = await locks.lock(sandboxId, AbortSignal.timeout(keepTimeoutMs));
    const container = store.containers.get(containerId);
    const report = latest();
    if (container?.state !== 'RUNNING' || !report) return;
    await store.putContainer({ ...container, report });
  } catch (error) {
    log.warn({ containerId, error: messageOf(error) }, 'what a guest said of its end could not be kept');
  }
}
