import { lstat, stat, statfs } from 'node:fs/promises';
import { deviceNumber, devicePath } from '../lib/block-device.ts';
import { isErrno } from '../lib/errno.ts';
import type { FileUsage } from '../model/statistics.ts';

const blockBytes = 512; // stat(2): st_blocks counts in 512 bytes, whatever the file system's block size

/** See `Volumes.usage`. */
export async function measureFiles(directory: string, paths: readonly string[]): Promise<FileUsage> {
  const [files, space, { dev }] = await Promise.all([Promise.all(paths.map(blocksOf)), statfs(directory), stat(directory)]);
  const present = files.filter((blocks) => blocks !== undefined);
  return {
    usedBytes: present.reduce((sum, blocks) => sum + blocks * blockBytes, 0),
    inodesUsed: present.length,
    filesystem: {
      directory,
      device: await devicePath(deviceNumber(dev)),
      sizeBytes: space.blocks * space.bsize,
      inodes: space.files,
      freeInodes: space.ffree,
    },
  };
}

async function blocksOf(path: string): Promise<number | undefined> {
  try {
    return (await lstat(path)).blocks;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
