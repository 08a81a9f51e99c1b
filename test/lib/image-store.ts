import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { makeImages, type ClosableImages, type ImagesDeps, type ImagesOptions } from '../../src/images/images.ts';
import { silentLog } from '../../src/lib/log.ts';
import { tempDir } from './temp.ts';

/** Opens an image store of a test's own; closed when the running test ends. */
export async function openImages(options: Partial<ImagesOptions> = {}, deps: Partial<ImagesDeps> = {}): Promise<ClosableImages> {
  const images = await makeImages(
    {
      storeDir: join(tempDir(), 'images'),
      sources: [],
      maxBytes: 2 ** 30,
      maxVirtualBytes: 2 ** 40,
      stallTimeoutMs: 20_000,
      ...options,
    },
    { log: silentLog, ...deps },
  );
  onTestFinished(images.close);
  return images;
}

/** Files in a store, by directory: what is left after whatever happened. */
export function filesIn(storeDir: string): { readonly blobs: string[]; readonly ingest: string[]; readonly records: string[] } {
  const list = (...path: string[]): string[] => (existsSync(join(storeDir, ...path)) ? readdirSync(join(storeDir, ...path)) : []);
  return { blobs: list('blobs'), ingest: list('ingest'), records: [...list('records', 'images'), ...list('records', 'names')] };
}

/** A store without any trace of an image. */
export const nothing = { blobs: [], ingest: [], records: [] };
