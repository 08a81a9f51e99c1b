// Builds the tiny guest image for the tests and the demo, if it is missing or out of date.
import { ensureTinyImage } from '../images/tiny/image.ts';

await ensureTinyImage((line) => process.stdout.write(`${line}\n`), AbortSignal.timeout(900_000));
