import { z } from 'zod';
import { messageOf } from '../../lib/errno.ts';

/** A JSON object whose fields are not ours to know. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** One plugin of a network configuration: the whole object of the file, with the fields that a runtime looks at. */
export interface PluginConfig extends JsonObject {
  /** File name of the plugin's program. */
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>> | undefined;
  readonly ipam?: (JsonObject & { readonly type?: string | undefined }) | undefined;
}

/** A network configuration list as the CNI specification (section 1) has it; a single `.conf` is a list of one. */
export interface NetworkConfig {
  readonly name: string;
  /** The highest version that both the configuration and vmlet speak. */
  readonly cniVersion: string;
  /** All that both speak, ascending, where that leaves a choice: what plugins speak decides (`PluginVersions`). */
  readonly cniVersions?: readonly string[];
  readonly plugins: readonly PluginConfig[];
  /** The configuration wants no GC (specification 1.1.0, section 1). */
  readonly disableGC?: true;
}

/** CNI versions whose results are understood; before 0.3.0 results had another form. Ascending. */
export const supportedCniVersions: readonly string[] = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, 'must begin with a letter or digit, then letters, digits, "_", "." and "-"');
const program = z.string().regex(/^[^/\0]+$/, 'must be the file name of a plugin, without a path');
const plugin = z.looseObject({
  type: program,
  capabilities: z.record(z.string(), z.boolean()).optional(),
  ipam: z.looseObject({ type: program.optional() }).optional(),
});
/** libcni takes the words for the truth values too. */
const flag = z.union([z.boolean(), z.stringbool({ truthy: ['true'], falsy: ['false'] })]).optional();
const head = z.looseObject({
  name,
  cniVersion: z.string().optional(),
  cniVersions: z.array(z.string()).optional(),
  disableGC: flag,
});
const list = head.extend({ plugins: z.array(plugin).min(1).optional(), loadOnlyInlinedPlugins: flag });

/** What a network configuration is in a record. */
export const networkConfigSchema: z.ZodType<NetworkConfig> = z.strictObject({
  name,
  cniVersion: z.string(),
  cniVersions: z.array(z.string()).exactOptional(),
  plugins: z.array(plugin).min(1),
  disableGC: z.literal(true).exactOptional(),
});

/** True for the names that are read from the configuration directory. */
export function isConfigFile(file: string): boolean {
  return /\.(conf|conflist|json)$/.test(file);
}

/** A file of the configuration directory: its text, or why it could not be read. */
export interface ConfigFile {
  readonly name: string;
  readonly text?: string;
  readonly problem?: string;
  /** What its network's folder has (`pluginFolderOf`), in lexical order. */
  readonly plugins?: readonly Omit<ConfigFile, 'plugins'>[];
}

/**
 * The folder beside a list whose `.conf` files are further plugins of it, one each (specification 1.1.0, section 1, and libcni, which names
 * it after the network); `undefined` for a list that wants none, for a single plugin, and for what is no configuration.
 */
export function pluginFolderOf(file: string, text: string): string | undefined {
  try {
    const value = parseJson(text);
    const parsed = isList(file, value) ? check(list, value) : undefined;
    return parsed?.loadOnlyInlinedPlugins === true ? undefined : parsed?.name;
  } catch {
    return undefined; // reading the file itself says what is wrong
  }
}

/**
 * Reads a configuration file: a list (`.conflist`) with the files of its folder, one plugin (`.conf`), or either (`.json`). Throws with
 * what is wrong, beginning with the field.
 */
export function parseNetworkConfig(file: string, text: string, folder: ConfigFile['plugins'] = []): NetworkConfig {
  const value = parseJson(text);
  if (!isList(file, value)) {
    const top = check(head, value);
    return { name: top.name, ...versionsOf(top), plugins: [check(plugin, value)] };
  }
  const parsed = check(list, value);
  const more = parsed.disableGC === true ? { disableGC: true as const } : {};
  return { name: parsed.name, ...versionsOf(parsed), plugins: allPlugins(parsed, folder), ...more };
}

function isList(file: string, value: unknown): boolean {
  return file.endsWith('.conflist') || (file.endsWith('.json') && typeof value === 'object' && value !== null && 'plugins' in value);
}

function allPlugins(parsed: z.infer<typeof list>, folder: NonNullable<ConfigFile['plugins']>): readonly PluginConfig[] {
  const { name: network, plugins: inlined = [], loadOnlyInlinedPlugins: only } = parsed;
  const plugins = only === true ? inlined : [...inlined, ...folder.map((file) => readPlugin(network, file))];
  if (plugins.length > 0) return plugins;
  const why = only === true ? 'though loadOnlyInlinedPlugins is true' : `and the folder ${network} has no .conf file`;
  throw new Error(`plugins: is missing, ${why}`);
}

function readPlugin(network: string, { name: file, text = '', problem }: ConfigFile): PluginConfig {
  try {
    if (problem !== undefined) throw new Error(problem);
    return check(plugin, parseJson(text));
  } catch (error) {
    throw new Error(`${network}/${file}: ${messageOf(error)}`, { cause: error });
  }
}

/** Names of the programs that a configuration needs, IPAM plugins included; what plugins delegate to further is theirs to know. */
export function programsOf(config: NetworkConfig): readonly string[] {
  const names = config.plugins.flatMap(({ type, ipam }) => (ipam?.type === undefined ? [type] : [type, ipam.type]));
  return [...new Set(names)];
}

/** True when the configuration speaks `version` or a later one: what that version brought in may be used. */
export function speaks({ cniVersion }: NetworkConfig, version: string): boolean {
  return supportedCniVersions.indexOf(cniVersion) >= supportedCniVersions.indexOf(version);
}

function versionsOf(config: Pick<z.infer<typeof head>, 'cniVersion' | 'cniVersions'>): Pick<NetworkConfig, 'cniVersion' | 'cniVersions'> {
  const offered = [...(config.cniVersions ?? []), ...(config.cniVersion === undefined ? [] : [config.cniVersion])];
  const shared = supportedCniVersions.filter((version) => offered.includes(version));
  const highest = shared.at(-1);
  if (highest !== undefined) return { cniVersion: highest, ...(shared.length > 1 ? { cniVersions: shared } : {}) };
  const found = offered.length === 0 ? 'is missing' : `${offered.join(', ')} is not supported`;
  throw new Error(`cniVersion: ${found}; accepted: ${supportedCniVersions.join(', ')}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error('not JSON', { cause: error });
  }
}

/** Checks a value; throws an error whose message begins with the field. */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const outcome = schema.safeParse(value);
  if (outcome.success) return outcome.data;
  const [issue] = outcome.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw new Error(`${field === '' ? 'document' : field}: ${issue?.message ?? 'not valid'}`);
}
