#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { ConfigError, defaultConfigFile, defaultDropInDir, loadConfig, loadMappings, type Config } from './config/config.ts';
import { runDaemon } from './daemon/daemon.ts';
import { messageOf } from './lib/errno.ts';
import { vmletVersion } from './lib/version.ts';

interface Flags {
  readonly config: string;
  readonly configDir: string;
  readonly set: readonly string[];
  readonly checkConfig?: boolean;
}

/** Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage or configuration (sysexits has no better ones that shells agree on). */
const failed = 1;
const misused = 2;

process.exitCode = await main();

async function main(): Promise<number> {
  const command = new Command('vmlet')
    .description('Kubernetes container runtime (CRI v1) whose containers are libvirt virtual machines')
    .version(vmletVersion)
    .option('--config <file>', 'configuration file', defaultConfigFile)
    .option('--config-dir <dir>', 'directory of drop-ins, *.yaml in order of their names', defaultDropInDir)
    .option('--set <key=value>', 'one key, may be given again; wins over files and environment', collect, [])
    .option('--check-config', 'check the configuration, print all problems, and exit')
    .exitOverride();
  try {
    command.parse();
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : misused;
    throw error;
  }
  return run(command.opts<Flags>(), command.getOptionValueSource('config') !== 'default');
}

async function run(flags: Flags, fileRequired: boolean): Promise<number> {
  let config: Config;
  try {
    config = loadConfig({
      file: flags.config,
      fileRequired,
      dropInDir: flags.configDir,
      environment: process.env,
      settings: flags.set,
    });
    if (flags.checkConfig) loadMappings(config.images);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`vmlet: ${error.message}\n`);
    return flags.checkConfig ? failed : misused;
  }
  if (flags.checkConfig) {
    process.stdout.write('the configuration is valid\n');
    return 0;
  }
  try {
    await runDaemon(config, stopSignal(), { onReload: (listener) => void process.on('SIGHUP', listener) });
    return 0;
  } catch (error) {
    process.stderr.write(`vmlet: ${messageOf(error)}\n`);
    return error instanceof ConfigError ? misused : failed;
  }
}

/** Aborts at the first SIGTERM or SIGINT; a second one ends the process at once, as an impatient operator expects. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.kill(process.pid, 'SIGKILL');
      controller.abort(name);
    });
  }
  return controller.signal;
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
