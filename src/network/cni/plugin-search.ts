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

/** What tells a program file from another one at its place; `undefined` when there is none. */
export async function programIdentity(program: string): Promise<string | undefined> {
  const found = await stat(program, { bigint: true }).catch(() => undefined);
  return found && `${program} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
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
