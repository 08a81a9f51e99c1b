// Writes everything that is generated: src/gen/ from proto/, and the pages of docs/ that come from the code.
// With --check it writes nothing, names what is stale, and exits 1.
import { cpSync, existsSync, mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runProgram } from '../src/lib/run-program.ts';

const root = join(import.meta.dirname, '..');
const check = process.argv.includes('--check');
const made = mkdtempSync(join(tmpdir(), 'vmlet-gen-'));
try {
  await generateMessages(join(made, 'src/gen'));
  await generatePages(join(made, 'docs'));
  if (check) report(stale());
  else install();
} finally {
  rmSync(made, { recursive: true });
}

async function generateMessages(out: string): Promise<void> {
  mkdirSync(out, { recursive: true });
  const bin = join(root, 'node_modules/.bin');
  const args = ['-I', 'proto', `--es_out=${out}`, '--es_opt=target=js+dts,import_extension=js', 'proto/runtime/v1/api.proto'];
  const env = { PATH: `${bin}:${process.env['PATH'] ?? ''}` };
  await runProgram(join(bin, 'protoc'), args, { signal: AbortSignal.timeout(120_000), timeoutMs: 120_000, cwd: root, env });
}

async function generatePages(out: string): Promise<void> {
  mkdirSync(out, { recursive: true });
  // Imported late: these modules need src/gen, which may be stale until it has been written once.
  const { renderConfigDocs } = await import('../src/config/config.ts');
  const { renderSupportDocs } = await import('../src/cri/cri.ts');
  const { renderMetricsDocs } = await import('../src/metrics/metrics.ts');
  writeFileSync(join(out, 'configuration.md'), renderConfigDocs());
  writeFileSync(join(out, 'cri-support.md'), renderSupportDocs());
  writeFileSync(join(out, 'metrics.md'), renderMetricsDocs());
}

function files(): string[] {
  return readdirSync(made, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(made.length + 1));
}

function stale(): string[] {
  return files().filter(
    (file) => !existsSync(join(root, file)) || readFileSync(join(root, file), 'utf8') !== readFileSync(join(made, file), 'utf8'),
  );
}

function report(names: readonly string[]): void {
  for (const name of names) console.error(`${name} is stale: run npm run gen`);
  if (names.length > 0) process.exitCode = 1;
  else console.log(`generated files are fresh: ${files().length}`);
}

function install(): void {
  for (const file of stale()) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    cpSync(join(made, file), join(root, file));
    console.log(`wrote ${file}`);
  }
}
