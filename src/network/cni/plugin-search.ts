import { access, constants, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** The program of a plugin: the first executable file of its name in the directories, in their order; `undefined` when none has one. */
export async function findPlugin(binDirs: readonly string[], name: string): Promise<string | undefined> {
  for (const dir of binDirs) {
    const file = join(dir, name);
    if (await isProgram(file)) return file;
  }
  return undefined;
}

/** True for an executable file; a folder has the same permission. */
async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}
