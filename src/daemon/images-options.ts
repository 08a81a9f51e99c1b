import { join } from 'node:path';
import type { Config, Mappings } from '../config/config.ts';
import type { ImagesOptions, SourcesInput } from '../images/images.ts';

/** The images room's options. */
export function imagesOptions(config: Config, mappings: Mappings): ImagesOptions {
  const { stateDir, images } = config;
  return {
    storeDir: join(stateDir, 'images'),
    sources: sourcesInput(config, mappings),
    registryHostsDir: images.registryHostsDir,
    signaturePolicy: images.signaturePolicy,
    allowedNetworks: images.allowedNetworks,
    convert: images.convert,
    pinned: images.pinned,
    maxPulls: images.maxPulls,
    connections: images.connections,
    maxBytes: images.maxBytes,
    maxVirtualBytes: images.maxVirtualSize,
    minFreeBytes: images.minFree,
    kubeletRoot: images.kubeletRoot,
    stallTimeoutMs: images.stallTimeout,
    retry: { maxAttempts: images.attempts },
  };
}

/** What says where images come from: read again on SIGHUP. */
export function sourcesInput({ images }: Config, { mappings }: Mappings): SourcesInput {
  return {
    mappings,
    urlHosts: images.urlHosts,
    transport: { connectTimeoutMs: 30_000, stallTimeoutMs: images.stallTimeout, maxRedirects: 5, tls: {} },
  };
}
