import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeNodePolicy } from '../../../../src/images/signature/node-policy.ts';
import { sourcesInput, openImages } from '../../../lib/image-store.ts';
import { silentLog } from '../../../../src/lib/log.ts';
import { tempDir } from '../../../lib/temp.ts';

const accept = '{ version: 1, default: accept }';
const refuse = '{ version: 1, default: refuse }';
const invalid = expect.objectContaining({ facts: { code: 'INVALID', field: 'images.signaturePolicy' } });

test('a policy that has gone bad says so when it is read again, and lets nothing in until it is mended', async () => {
  const file = join(tempDir(), 'policy.yaml');
  writeFileSync(file, accept);
  const policy = makeNodePolicy(file);
  await policy.checkUnsigned('disk');
  writeFileSync(file, 'version: 7');
  await policy.checkUnsigned('disk');
  await expect(policy.reload()).rejects.toThrow(invalid);
  await expect(policy.checkUnsigned('disk')).rejects.toThrow(/no image is taken while/);
  writeFileSync(file, refuse);
  await expect(policy.checkUnsigned('disk')).rejects.toThrow(/policy refuses disk/);
});

test('a policy that was never good refuses everything, says so at the start and at each reading, and need not be read again once it is mended', async () => {
  const file = join(tempDir(), 'policy.yaml');
  writeFileSync(file, 'version: 7');
  const said: string[] = [];
  const images = await openImages(
    { signaturePolicy: file },
    { log: { ...silentLog, error: (_facts, message) => void said.push(message) } },
  );
  await images.reload(sourcesInput([]));
  expect(said).toEqual(Array.from({ length: 2 }, () => 'no image is pulled: the signature policy is bad'));
  const policy = makeNodePolicy(file);
  await expect(policy.checkUnsigned('disk')).rejects.toThrow(/no image is taken while the signature policy cannot be used/);
  writeFileSync(file, accept);
  await policy.checkUnsigned('disk');
});
