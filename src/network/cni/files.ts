import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../lib/errno.ts';
import { isConfigFile, pluginFolderOf, type ConfigFile } from './config.ts';

/** The files of a configuration directory as they are now. */
export interface ConfigFiles {
  /** Another text when a file that may count has been changed, added or removed. */
  readonly signature: string;
  /** Their texts, in lexical order, each with what its network's folder has. */
  readonly read: () => Promise<readonly ConfigFile[]>;
}

/** Lists a configuration directory and the folders in it. Throws the system's error when the directory itself cannot be listed. */
export async function listConfigFiles(confDir: string): Promise<ConfigFiles> {
  const entries = await readdir(confDir, { withFileTypes: true });
  const names = entries.filter((entry) => isConfigFile(entry.name) && !entry.isDirectory()).map(({ name }) => name);
  const folders = entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink()).map(({ name }) => name);
  const inFolders = await Promise.all(
    folders.map(async (folder) => (await pluginFiles(join(confDir, folder))).map((name) => join(folder, name))),
  );
  const counted = [...names, ...inFolders.flat()].toSorted();
  return {
    signature: (await Promise.all(counted.map(async (name) => signatureOf(join(confDir, name))))).join('\n'),
    read: async () => Promise.all(names.toSorted().map(async (name) => readWithFolder(confDir, name))),
  };
}

async function readWithFolder(confDir: string, name: string): Promise<ConfigFile> {
  const file = await readConfigFile(confDir, name);
  const folder = pluginFolderOf(name, file.text ?? '');
  if (folder === undefined) return file;
  const dir = join(confDir, folder);
  return { ...file, plugins: await Promise.all((await pluginFiles(dir)).map(async (plugin) => readConfigFile(dir, plugin))) };
}

/** Names of what libcni reads in a network's folder, in lexical order; none where there is no such folder. */
async function pluginFiles(dir: string): Promise<readonly string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.name.endsWith('.conf') && !entry.isDirectory())
    .map(({ name }) => name)
    .toSorted();
}

async function readConfigFile(dir: string, name: string): Promise<ConfigFile> {
  try {
    return { name, text: await readFile(join(dir, name), 'utf8') };
  } catch (error) {
    return { name, problem: messageOf(error) };
  }
}

/** What changes with a file; a file that went away meanwhile, or a link to nowhere, has one too. */
async function signatureOf(file: string): Promise<string> {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  return found ? `${file} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}` : `${file} gone`;
}
