import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import { isErrno, messageOf } from '../lib/errno.ts';
import { ConfigError } from './config-error.ts';
import { environmentLayers } from './environment.ts';
import { leafLayer, mergeLayers, parseLayer, type Layer, type Merged, type Problem } from './layers.ts';
import { configSchema, type Config } from './schema.ts';

export { ConfigError } from './config-error.ts';
export type { Config } from './schema.ts';
export { loadMappings, type Mapping, type Mappings, type Shadowed } from './mappings.ts';
export { renderConfigDocs } from './docs.ts';
export { parseListen } from './values.ts';

/** Where configuration is read from, lowest precedence first: file, drop-ins, environment, flags. */
export interface ConfigSources {
  /** Main file; a missing one is fine only if `fileRequired` is false (the default path). */
  readonly file: string;
  readonly fileRequired: boolean;
  /** Directory of drop-ins, `*.yaml` in order of their names; a missing one is fine. */
  readonly dropInDir: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `key.path=value` as given by `--set`. */
  readonly settings: readonly string[];
}

/** Default paths. */
export const defaultConfigFile = '/etc/vmlet/config.yaml';
export const defaultDropInDir = '/etc/vmlet/conf.d';

/** The configuration of a node that sets nothing. */
export function defaultConfig(): Config {
  return configSchema.parse({});
}

/** Reads, merges and checks the configuration. Throws `ConfigError` with all problems at once. */
export function loadConfig(sources: ConfigSources): Config {
  const found = [
    ...fileLayers(sources),
    ...environmentLayers(sources.environment),
    ...sources.settings.map((setting) => settingLayer(setting)),
  ];
  const problems = found.filter((layer): layer is Problem => 'message' in layer);
  const merged = mergeLayers(found.filter((layer): layer is Layer => 'tree' in layer));
  const checked = configSchema.safeParse(merged.tree);
  if (!checked.success) problems.push(...checked.error.issues.flatMap((issue) => problemsOf(issue, merged)));
  if (checked.success && problems.length === 0) return checked.data;
  throw new ConfigError(problems);
}

function fileLayers(sources: ConfigSources): (Layer | Problem)[] {
  return [readLayer(sources.file, sources.fileRequired), ...dropIns(sources.dropInDir)].filter((layer) => layer !== undefined);
}

function readLayer(file: string, required: boolean): Layer | Problem | undefined {
  try {
    return parseLayer(readFileSync(file, 'utf8'), file);
  } catch (error) {
    if (isErrno(error, 'ENOENT') && !required) return undefined;
    return { key: '', source: file, message: messageOf(error) };
  }
}

function dropIns(dir: string): (Layer | Problem | undefined)[] {
  try {
    const names = readdirSync(dir).filter((name) => name.endsWith('.yaml'));
    return names.toSorted().map((name) => readLayer(join(dir, name), true));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    return [{ key: '', source: dir, message: messageOf(error) }];
  }
}

function settingLayer(setting: string): Layer | Problem {
  const at = setting.indexOf('=');
  if (at < 1) return { key: setting, source: 'flag --set', message: 'must be key=value, for example --set logLevel=debug' };
  return leafLayer(setting.slice(0, at).split('.'), setting.slice(at + 1), 'flag --set');
}

function problemsOf(issue: z.core.$ZodIssue, merged: Merged): Problem[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const name = [...path, key].join('.');
      return { key: name, source: sourceOf([...path, key], merged), message: 'is not a key of vmlet’s configuration' };
    });
  }
  return [{ key: path.join('.'), source: sourceOf(path, merged), message: issue.message }];
}

function sourceOf(path: readonly string[], merged: Merged): string {
  for (let length = path.length; length > 0; length -= 1) {
    const source = merged.sources.get(path.slice(0, length).join('.'));
    if (source !== undefined) return source;
  }
  return 'defaults';
}
