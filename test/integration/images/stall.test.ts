import { expect, test } from 'vitest';
import { makeImages } from '../../../src/images/images.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { startDiskServer } from '../../lib/disk-server.ts';
import { imagesOptions, sourcesInput } from '../../lib/image-store.ts';

test('a transport’s own stallTimeout ends a body that stalls, shorter or longer than images.stallTimeout', async () => {
  const server = await startDiskServer();
  server.answer('/disk', (_request, response) => void response.writeHead(200, { 'content-length': 1000 }).write('QFI\xfb'));
  for (const [profileMs, nodeMs] of [
    [400, 20_000],
    [900, 200],
  ] as const) {
    const { mappings, ...input } = sourcesInput([{ name: 'disk', format: 'qcow2', url: `${server.url}/disk`, transport: 'own' }]);
    const transports = new Map([['own', { ...input.transport, stallTimeoutMs: profileMs }]]);
    const sources = { ...input, mappings: mappings.map((mapping) => ({ ...mapping, transports })) };
    const options = { ...imagesOptions({ stallTimeoutMs: nodeMs, retry: { maxAttempts: 1 } }), sources };
    const images = await makeImages(options, { log: silentLog });
    try {
      await expect(images.pull({ reference: 'disk' }, AbortSignal.timeout(50_000))).rejects.toThrow(`nothing received for ${profileMs} ms`);
    } finally {
      await images.close();
    }
  }
});
