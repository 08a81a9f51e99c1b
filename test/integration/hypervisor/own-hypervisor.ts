import { chmodSync, readFileSync, rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeHypervisor, type HypervisorService, type VmEvent } from '../../../src/hypervisor/hypervisor.ts';
import { identify, stopHelper } from '../../../src/lib/helper-process.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { waitFor } from '../../lib/wait.ts';

/** A hypervisor with a libvirtd of its own below a temporary directory. */
export interface OwnHypervisor extends AsyncDisposable {
  readonly dir: string;
  /** The one that runs now; another one after `restart`. */
  readonly hypervisor: () => HypervisorService;
  readonly events: VmEvent[];
  readonly libvirtdPid: () => number;
  /** Another daemon's view: closes this hypervisor and makes a new one on the same directories. */
  readonly restart: () => Promise<void>;
  readonly virshUri: string;
}

export function soon(): AbortSignal {
  return AbortSignal.timeout(60_000);
}

/** Starts it; resolves when it is ready. VMs that a test left are ended with it. */
export async function startOwnHypervisor(domainType: 'auto' | 'kvm' | 'qemu' = 'qemu'): Promise<OwnHypervisor> {
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-hv-'));
  chmodSync(dir, 0o711);
  const events: VmEvent[] = [];
  const options = { domainType, stateDir: join(dir, 'libvirt'), runtimeDir: join(dir, 'run'), bootId: 'boot' };

  async function open(): Promise<HypervisorService> {
    const made = await makeHypervisor(options, { log: silentLog });
    made.onEvent((event) => events.push(event));
    await made.start(60_000, soon());
    return made;
  }

  const libvirtdPid = (): number => Number(readFileSync(join(dir, 'run', 'libvirtd.pid'), 'utf8'));
  let current = await open();
  return {
    dir,
    hypervisor: () => current,
    events,
    libvirtdPid,
    virshUri: `qemu+unix:///system?socket=${join(dir, 'run', 'libvirt-sock')}`,
    restart: async () => {
      await current.close();
      current = await open();
    },
    [Symbol.asyncDispose]: async () => {
      for (const { name } of await current.list(soon()).catch(() => [])) {
        await current.destroy(name, soon());
        await current.undefine(name, soon());
      }
      await current.close();
      const libvirtd = identify(libvirtdPid());
      if (libvirtd) await stopHelper(libvirtd, 10_000);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Waits until a VM's console log has a text. */
export async function consoleSays(logPath: string, text: string, timeoutMs = 60_000): Promise<void> {
  await waitFor(() => readFileSync(logPath, 'latin1').includes(text), { timeoutMs, what: `"${text}" on the console` });
}
