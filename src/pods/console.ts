import { messageOf } from '../lib/errno.ts';
import type { Container } from '../model/container.ts';
import type { PodsContext } from './context.ts';
import { criLogPath, vmPaths } from './layout.ts';

/** Starts, or takes up again, the way of a VM's console into its CRI log. Doing it twice is fine. */
export async function followConsole(context: PodsContext, container: Container, signal: AbortSignal): Promise<void> {
  const { options, store, logs, consoles } = context;
  if (consoles.has(container.id)) return;
  const paths = vmPaths(options.stateDir, options.runtimeDir, container.id);
  const logDirectory = store.sandboxes.get(container.sandboxId)?.config.logDirectory ?? '';
  const request = {
    containerId: container.id,
    consoleFile: paths.consoleLog,
    logFile: criLogPath(logDirectory, container.config.logPath),
    positionFile: paths.logPosition,
  };
  consoles.set(container.id, await logs.follow(request, signal));
}

/** Writes what is left of a console and closes the log; one that is not followed is fine. */
export async function finishConsole(context: PodsContext, containerId: string): Promise<void> {
  const console = context.consoles.get(containerId);
  await console?.finish();
  context.consoles.delete(containerId);
}

/** The same for a container that goes for good: a log that cannot be written (a full disk) is given up, since its removal may make room. */
export async function dropConsole(context: PodsContext, containerId: string): Promise<void> {
  try {
    await finishConsole(context, containerId);
  } catch (error) {
    context.log.error({ containerId, error: messageOf(error) }, 'the end of the console is lost: its log could not be written');
    await context.consoles.get(containerId)?.pause();
    context.consoles.delete(containerId);
  }
}
