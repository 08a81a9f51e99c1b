import { ensureImage, type ImageRecipe } from '../image.ts';

const debian: ImageRecipe = {
  name: 'debian',
  files: ['*.sh', 'wanted', 'grub*.cfg', 'root/**'],
  hostPackages: ['mmdebstrap', 'grub-common', 'grub-pc-bin'],
  buildTimeoutMs: 900_000,
};

/** The Debian image; see `ensureImage`. The first build downloads about 90 MB of packages. Needs root. */
export async function ensureDebianImage(report: (line: string) => void, signal: AbortSignal): Promise<string> {
  return ensureImage(debian, report, signal);
}
