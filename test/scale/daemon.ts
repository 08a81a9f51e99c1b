// node test/scale/daemon.ts --config FILE --config-dir DIR: the daemon with libvirtd's test driver below it (libvirt.socket), which
// runs any number of domains without a process each. SCALE_CODE is where the daemon's code lies: src/ or dist/.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type * as ConfigRoom from '../../src/config/config.ts';
import type * as DaemonRoom from '../../src/daemon/daemon.ts';
import type { Decorate } from '../../src/daemon/decorate.ts';
import type * as HypervisorRoom from '../../src/hypervisor/hypervisor.ts';
import type * as LogModule from '../../src/lib/log.ts';

const code = process.env['SCALE_CODE'] ?? join(import.meta.dirname, '..', '..', 'src');
const extension = code.endsWith('dist') ? 'js' : 'ts';
const load = async (module: string): Promise<unknown> => import(join(code, `${module}.${extension}`));
const { loadConfig } = (await load('config/config')) as typeof ConfigRoom;
const { runDaemon } = (await load('daemon/daemon')) as typeof DaemonRoom;
const { makeHypervisor } = (await load('hypervisor/hypervisor')) as typeof HypervisorRoom;
const { silentLog } = (await load('lib/log')) as typeof LogModule;

const { config: file = '', 'config-dir': dropInDir = '' } = parseArgs({
  options: { config: { type: 'string' }, 'config-dir': { type: 'string' } },
}).values;
const config = loadConfig({ file, fileRequired: true, dropInDir, environment: {}, settings: [] });
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort('SIGTERM'));

const { socket: socketPath = '', runDir = '' } = config.libvirt;
const { stateDir, runtimeDir } = config;
const options = {
  domainType: 'qemu',
  stateDir,
  runtimeDir,
  bootId: '',
  external: { socketPath, runDir, uri: 'test:///default' },
} as const;
const onTestDriver = await makeHypervisor(options, { log: silentLog });

/** The test driver has no QEMU to probe: VMs can be looked at, not made. */
const decorate: Decorate = (name, part) =>
  name === 'hypervisor' ? Object.assign(part, onTestDriver, { start: async () => undefined }) : part;
await runDaemon(config, stop.signal, { decorate });
process.exit(); // oxlint-disable-line unicorn/no-process-exit -- the hypervisor that was replaced goes on connecting
