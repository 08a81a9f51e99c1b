import { ensureImage, type ImageRecipe } from '../image.ts';

const tiny: ImageRecipe = {
  name: 'tiny',
  files: ['*.sh', 'syslinux.cfg', 'initramfs/**', 'root/**'],
  buildTimeoutMs: 600_000,
};

/** The tiny image; see `ensureImage`. */
export async function ensureTinyImage(report: (line: string) => void, signal: AbortSignal): Promise<string> {
  return ensureImage(tiny, report, signal);
}
