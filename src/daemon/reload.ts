import { loadMappings, type Config, type Mappings } from '../config/config.ts';
import type { ClosableImages } from '../images/images.ts';
import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import { sourcesInput } from './images-options.ts';

/**
 * Reads mapping files, their certificates and the signature policy again. What is wrong is logged: mappings then stay as they were, and
 * a policy lets nothing in. Pulls under way go on as they began; the main configuration is read at a start only.
 */
export async function reloadImages(config: Config, images: Pick<ClosableImages, 'reload'>, log: Log): Promise<void> {
  try {
    const mappings = loadMappings(config.images);
    await images.reload(sourcesInput(config, mappings));
    warnOfShadowed(mappings, log);
    log.info({ files: mappings.mappings.length - 1 }, 'image mappings read again');
  } catch (error) {
    log.error({ problem: messageOf(error) }, 'image mappings not read again: the old ones stay');
  }
}

/** Warns of names that an earlier mapping has already. */
export function warnOfShadowed({ shadowed }: Mappings, log: Log): void {
  for (const { name, from, by } of shadowed) log.warn({ name, from, by }, 'a name is mapped twice: the first mapping counts');
}
