// node test/fault/daemon.ts --config FILE --config-dir DIR: the daemon, which kills itself at a point that a test tells it
// (FAULT_DIR), may believe that the node was rebooted (FAULT_BOOT_ID), and that it is earlier than it is (FAULT_CLOCK_BACK_MS).
import { parseArgs } from 'node:util';
import { loadConfig } from '../../src/config/config.ts';
import { runDaemon } from '../../src/daemon/daemon.ts';
import { faultFiles } from './point.ts';
import { stepsOf, watchPrograms } from './steps.ts';

const { config: file = '', 'config-dir': dropInDir = '' } = parseArgs({
  options: { config: { type: 'string' }, 'config-dir': { type: 'string' } },
}).values;
const { FAULT_DIR: dir, FAULT_BOOT_ID: bootId, FAULT_CLOCK_BACK_MS: backMs = '0' } = process.env;
const now = Date.now;
Date.now = () => now() - Number(backMs);

const config = loadConfig({ file, fileRequired: true, dropInDir, environment: {}, settings: [] });
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort('SIGTERM'));

const files = dir === undefined ? undefined : faultFiles(dir);
if (files) watchPrograms(files);
await runDaemon(config, stop.signal, {
  ...(files ? { decorate: stepsOf(files) } : {}),
  ...(bootId === undefined ? {} : { bootId }),
});
