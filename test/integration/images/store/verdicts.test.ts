import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Door } from '../../../../src/images/door/door.ts';
import type { ImageRecord } from '../../../../src/images/store/image-record.ts';
import type { Store } from '../../../../src/images/store/store.ts';
import { renewVerdicts } from '../../../../src/images/store/verdicts.ts';
import { silentLog } from '../../../../src/lib/log.ts';
import { tempDir } from '../../../lib/temp.ts';

test('a disk that cannot be read keeps its verdict, and the others are judged again', async () => {
  const dir = tempDir();
  writeFileSync(join(dir, 'there'), 'a disk');
  const versions = { rules: 9, qemu: 'new' };
  const record = { format: 'raw', verdict: { rules: 1, qemu: 'old' } } as ImageRecord;
  const judged: string[] = [];
  const images = ['gone', 'there'].map((id) => ({ image: { id, path: join(dir, id) }, record }));
  const store = { records: () => images, judge: async (id: string) => void judged.push(id) } as unknown as Store;
  const door: Door = { versions: async () => versions, inspect: async () => ({ virtualSizeBytes: 512, versions }) };
  await renewVerdicts(store, door, silentLog);
  expect(judged).toEqual(['there']);
});
