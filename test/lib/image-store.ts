import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import {
  makeImages,
  type ClosableImages,
  type ImagesDeps,
  type ImagesOptions,
  type ImageSource,
  type SourcesInput,
} from '../../src/images/images.ts';
import { silentLog } from '../../src/lib/log.ts';
import { tempDir } from './temp.ts';

/** What differs from a plain store. */
export interface TestImagesOptions extends Partial<Omit<ImagesOptions, 'sources'>> {
  /** `images.sources`. */
  readonly sources?: readonly ImageSource[];
}

/** Options of a plain store in a temporary directory. */
export function imagesOptions(options: TestImagesOptions = {}): ImagesOptions {
  const { storeDir = join(tempDir(), 'images'), sources = [], stallTimeoutMs = 20_000, ...others } = options;
  return {
    storeDir,
    sources: sourcesInput(sources, { stallTimeoutMs }),
    registryHostsDir: join(storeDir, '..', 'certs.d'),
    allowedNetworks: [],
    convert: [],
    pinned: [],
    maxPulls: 3,
    connections: 4,
    maxBytes: 2 ** 30,
    maxVirtualBytes: 2 ** 40,
    minFreeBytes: 0,
    kubeletRoot: '/',
    stallTimeoutMs,
    retry: { maxAttempts: 3, baseMs: 10, maxMs: 50 },
    ...others,
  };
}

/** Opens an image store of a test's own; closed when the running test ends. */
export async function openImages(options: TestImagesOptions = {}, deps: Partial<ImagesDeps> = {}): Promise<ClosableImages> {
  const images = await makeImages(imagesOptions(options), { log: silentLog, ...deps });
  onTestFinished(images.close);
  return images;
}

/** `images.sources` alone, as the room takes them. */
export function sourcesInput(sources: readonly ImageSource[], transport: { readonly stallTimeoutMs?: number } = {}): SourcesInput {
  return {
    mappings: [{ from: 'images.sources', sources, transports: new Map() }],
    urlHosts: [],
    transport: { connectTimeoutMs: 10_000, stallTimeoutMs: 20_000, maxRedirects: 5, tls: {}, ...transport },
  };
}

/** Files in a store, by directory: what is left after whatever happened. */
export function filesIn(storeDir: string): { readonly blobs: string[]; readonly ingest: string[]; readonly records: string[] } {
  const list = (...path: string[]): string[] => (existsSync(join(storeDir, ...path)) ? readdirSync(join(storeDir, ...path)) : []);
  return {
    blobs: list('blobs'),
    ingest: list('ingest'),
    records: ['images', 'names', 'contents'].flatMap((kind) => list('records', kind)),
  };
}

/** A store without any trace of an image. */
export const nothing = { blobs: [], ingest: [], records: [] };
