import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { deletePod, type KubeletSettings, type RunningPod } from '../../test/kubelet/kubelet.ts';
import { makeCriClient } from '../../test/lib/cri-client.ts';
import { endNode, type NodeTraces } from '../../test/node/node.ts';
import type { Screen } from './screen.ts';

/** What `--keep` leaves for `--stop`, as JSON in the node's directory. */
interface Kept {
  readonly traces: NodeTraces;
  readonly socket: string;
  readonly settings: KubeletSettings;
  readonly running: RunningPod;
}

const fileName = 'demo.json';

/** Writes down how to end a demo that goes on. */
export function saveKept(kept: Kept): void {
  writeFileSync(join(kept.traces.dir, fileName), JSON.stringify(kept), { mode: 0o600 });
}

/** Ends the demo that was kept in `dir`, or all of them: pods as a kubelet does, then daemon and libvirtd. Throws when there is none. */
export async function stopKept(dir: string | undefined, screen: Screen): Promise<void> {
  const dirs = dir === undefined ? globSync(join(tmpdir(), 'vm-*', fileName)).map(dirname) : [resolve(dir)];
  if (dirs.length === 0) throw new Error('no demo was left running by --keep');
  for (const each of dirs) await stopOne(readKept(each), screen);
}

async function stopOne(kept: Kept, screen: Screen): Promise<void> {
  const client = makeCriClient(kept.socket);
  try {
    const [status] = await deletePod({ client, settings: kept.settings }, kept.running);
    screen.line('stop', `pod removed: exit code ${status?.exitCode}, ${status?.reason}`);
  } catch (error) {
    screen.line('stop', `the pod could not be removed and is ended by force: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    client.close();
  }
  await endNode(kept.traces);
  screen.line('clean', `${kept.traces.dir} and all that belonged to it are gone`);
}

function readKept(dir: string): Kept {
  let kept: Kept;
  try {
    kept = JSON.parse(readFileSync(join(dir, fileName), 'utf8')) as Kept;
  } catch (error) {
    throw new Error(`${dir} holds no demo that was left running by --keep`, { cause: error });
  }
  if (kept.traces.dir !== dir) throw new Error(`${join(dir, fileName)} belongs to another directory`);
  return kept;
}
