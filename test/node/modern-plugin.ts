import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * node test/node/modern-plugin.ts PLUGIN DIR: a CNI plugin that speaks 1.1.0, for tests, made of PLUGIN, an older one with host-local
 * addresses. STATUS is well until DIR/status has a CNI error (or the word `hang`); GC removes the leases of attachments that are not
 * listed. Each of these calls is written, with what it was told, to DIR/calls.
 */
const [plugin = '', dir = ''] = process.argv.slice(2);
const { CNI_COMMAND: command = '' } = process.env;
const text = readFileSync(0, 'utf8');
const attachments = z.array(z.object({ containerID: z.string(), ifname: z.string() }));
const network = z.looseObject({
  name: z.string(),
  cniVersion: z.literal('1.1.0'),
  ipam: z.looseObject({ dataDir: z.string() }),
  'cni.dev/valid-attachments': attachments.optional(),
});

if (command === 'VERSION') process.stdout.write(JSON.stringify({ cniVersion: '1.1.0', supportedVersions: ['1.1.0'] }));
else if (command === 'STATUS') status();
else if (command === 'GC') collect();
else passOn();

/** Writes the call down; answers what it was told. */
function note(): z.infer<typeof network> {
  const input = network.parse(JSON.parse(text));
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('CNI_')));
  appendFileSync(join(dir, 'calls'), `${JSON.stringify({ command, env, input })}\n`);
  return input;
}

function status(): void {
  note();
  const file = join(dir, 'status');
  const problem = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (problem === 'hang') setInterval(() => undefined, 1_000);
  else if (problem !== '') {
    process.stdout.write(problem);
    process.exitCode = 1;
  }
}

/** host-local keeps a file an address, whose first line is the container's id. */
function collect(): void {
  const input = note();
  const valid = new Set(input['cni.dev/valid-attachments']?.map(({ containerID }) => containerID));
  const leases = join(input.ipam.dataDir, input.name);
  for (const name of existsSync(leases) ? readdirSync(leases) : []) {
    const [id = ''] = readFileSync(join(leases, name), 'utf8').split(/\r?\n/);
    if (/^[0-9a-f]{64}$/.test(id) && !valid.has(id)) rmSync(join(leases, name));
  }
}

/** The older plugin's errors and results are told in the version that was asked. */
function passOn(): void {
  const older = (value: string): string => value.replaceAll('"cniVersion":"1.1.0"', '"cniVersion":"1.0.0"');
  const { stdout, stderr, status: code } = spawnSync(plugin, { input: older(text), encoding: 'utf8' });
  process.stdout.write(stdout.replace(/"cniVersion": *"1\.0\.0"/, '"cniVersion":"1.1.0"'));
  process.stderr.write(stderr);
  process.exitCode = code ?? 1;
}
