// Builds the Debian guest image for the tests, if it is missing or out of date.
import { ensureDebianImage } from '../images/debian/image.ts';

await ensureDebianImage((line) => process.stdout.write(`${line}\n`), AbortSignal.timeout(1_200_000));
