import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What `virsh -c URI ARGS` prints, without white space around it; throws with its error text. At most 60 s. */
export async function virsh(uri: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run('virsh', ['-q', '-c', uri, ...args], { timeout: 60_000, env: { ...process.env, LC_ALL: 'C' } });
  return stdout.trim();
}
