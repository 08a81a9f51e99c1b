// node images/bootsector/write.ts KIND FILE: writes a guest's disk, as qcow2 when FILE ends in .qcow2, else raw.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/lib/run-program.ts';
import { bootSectorKinds, makeBootDisk } from './sectors.ts';

const [wanted, file] = process.argv.slice(2);
const kind = bootSectorKinds.find((each) => each === wanted);
if (kind === undefined || file === undefined) {
  process.stderr.write(`usage: node images/bootsector/write.ts ${bootSectorKinds.join('|')} FILE.qcow2|FILE.raw\n`);
  process.exitCode = 2;
} else if (file.endsWith('.qcow2')) await writeQcow2(makeBootDisk(kind), file);
else await writeFile(file, makeBootDisk(kind));

async function writeQcow2(disk: Uint8Array, to: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'vmlet-bootsector-'));
  try {
    const raw = join(dir, 'disk.raw');
    await writeFile(raw, disk);
    await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, to], { signal: AbortSignal.timeout(30_000) });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
