import { expect, test } from 'vitest';
import { runCtl } from '../../../src/ctl/ctl.ts';
import { vmletVersion } from '../../../src/lib/version.ts';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(args: readonly string[], isRoot = true): Promise<Ended> {
  let [stdout, stderr] = ['', ''];
  const code = await runCtl(args, {
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    isRoot,
    tempDir: '/no/such/directory',
    signal: AbortSignal.timeout(20_000),
  });
  return { code, stdout, stderr };
}

test('help and version are no failures', async () => {
  expect(await run(['--version'])).toMatchObject({ code: 0, stdout: `${vmletVersion}\n` });
  expect(await run(['--help'])).toMatchObject({ code: 0, stdout: expect.stringContaining('images') });
  const { code, stdout } = await run(['images', 'verify', '--help']);
  expect(code).toBe(0);
  for (const text of ['--format', '"qcow2", "raw", "vmdk", "vdi", "vhdx"', '2Ti', '64Gi', 'Exit codes']) expect(stdout).toContain(text);
});

test.each<[string, readonly string[], RegExp]>([
  ['no command', [], /Usage: vmletctl/],
  ['half a command', ['images'], /Usage: vmletctl images/],
  ['an unknown command', ['image'], /unknown command 'image'/],
  ['no file', ['images', 'verify'], /missing required argument 'file'/],
  ['two files', ['images', 'verify', 'a', 'b'], /too many arguments/],
  ['an unknown format', ['images', 'verify', 'a', '--format', 'iso'], /'iso' is invalid. Allowed choices are qcow2, raw/],
  ['an unknown output', ['images', 'verify', 'a', '-o', 'yaml'], /'yaml' is invalid. Allowed choices are text, json/],
  ['a size that is none', ['images', 'verify', 'a', '--max-virtual-size', '10GB'], /'10GB' is invalid. must be bytes/],
  ['an unknown option', ['images', 'verify', 'a', '--force'], /unknown option '--force'/],
  ['a file that is not there', ['images', 'verify', '/no/such/file'], /^vmletctl: ENOENT.*\/no\/such\/file/],
  ['a directory', ['images', 'verify', '/'], /^vmletctl: \/ is not a regular file\n$/],
])('%s: code 2, and stderr says what', async (_what, args, says) => {
  const { code, stdout, stderr } = await run(args);
  expect(code).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toMatch(says);
});

test('without root nothing is read', async () => {
  expect(await run(['images', 'verify', '/no/such/file'], false)).toEqual({
    code: 2,
    stdout: '',
    stderr: 'vmletctl: must be run as root: what reads the image is confined to a user and namespaces of its own\n',
  });
});
