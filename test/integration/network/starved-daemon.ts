import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { messageOf } from '../../../src/lib/errno.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { makeNetwork, type AttachRequest } from '../../../src/network/network.ts';
import { takeDescriptors } from '../../lib/descriptors.ts';

/**
 * A daemon for tests, run as a program under a low limit of descriptors: one pod is on its network when there are none left, then only a
 * few; another is asked for each time, and once more when there are enough. Prints what came of that, a line each.
 */
const { options, tap, requests } = z
  .object({
    options: z.custom<Parameters<typeof makeNetwork>[0]>(),
    tap: z.string(),
    requests: z.tuple([z.custom<AttachRequest>(), z.custom<AttachRequest>()]),
  })
  .parse(JSON.parse(process.argv[2] ?? ''));
const [first, second] = requests;
const soon = (): AbortSignal => AbortSignal.timeout(30_000);
const say = (text: string): boolean => process.stdout.write(`${text}\n`);

const network = await makeNetwork(options, { log: silentLog });
await network.attach(first, soon());
await network.makeTap({ tap, interfaces: [{}], uid: 0, queues: 1 }, soon());
await network.joinTap(first.sandboxId, tap, soon());
for (const left of [0, 4]) {
  using _taken = takeDescriptors(left);
  await delay(1_000); // looks, and questions for STATUS
  const outcome = await network.attach(second, soon()).catch(messageOf);
  say(typeof outcome === 'string' ? 'refused' : 'attached');
}
say((await network.attach(second, soon())).ips.join());
await network.removeTap(first.sandboxId, tap, soon());
for (const { sandboxId } of requests) await network.detach(sandboxId, soon());
network.close();
