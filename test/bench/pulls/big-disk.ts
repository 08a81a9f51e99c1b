import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../../src/lib/run-program.ts';

/** A qcow2 disk in the shapes in which it is published. */
export interface BigDisk extends Disposable {
  /** Holds the files below; a server may offer it as it is. */
  readonly dir: string;
  /** `big.qcow2`: full of bytes that no compression makes smaller. */
  readonly disk: string;
  /** `layer.tar`: a containerDisk's layer around it. */
  readonly layer: string;
  /** `layer.tar.gz`: one around a disk of text, which gzip makes about three times smaller. */
  readonly packed: string;
  /** Of `big.qcow2`. */
  readonly sizeBytes: number;
}

/** Makes a disk of `mebibytes` in a temporary directory; takes about a minute for 2048. */
export async function makeBigDisk(mebibytes: number, signal: AbortSignal): Promise<BigDisk> {
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-pull-'));
  const run = async (script: string): Promise<unknown> => runProgram('sh', ['-ec', script], { signal, timeoutMs: 600_000, cwd: dir });
  try {
    await run(
      `openssl enc -aes-128-ctr -K 00000000000000000000000000000000 -iv 00 -in /dev/zero 2>/dev/null | head -c ${mebibytes}M > raw`,
    );
    await run('qemu-img convert -q -f raw -O qcow2 raw big.qcow2 && rm raw');
    mkdirSync(join(dir, 'disk'));
    await run('ln big.qcow2 disk/disk.qcow2 && tar -cf layer.tar --owner=107 --group=107 disk && rm disk/disk.qcow2');
    await run(`seq 1 1000000000 | head -c ${mebibytes}M > raw && qemu-img convert -q -f raw -O qcow2 raw disk/disk.qcow2 && rm raw`);
    await run('tar -cf - --owner=107 --group=107 disk | gzip -1 > layer.tar.gz && rm -r disk');
    const disk = join(dir, 'big.qcow2');
    return {
      dir,
      disk,
      layer: join(dir, 'layer.tar'),
      packed: join(dir, 'layer.tar.gz'),
      sizeBytes: statSync(disk).size,
      [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
    };
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}
