import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { rpc } from '../table.ts';

/** Timers wrap beyond 2^31 - 1 ms, 24.8 days: the longest grace period that is kept, in seconds. */
const maxGraceSeconds = 20n * 24n * 3_600n;

/** Asks a guest to power off and destroys its VM after the timeout. */
export const stopContainer = rpc(
  RuntimeService.method.stopContainer,
  { container_id: 'honoured', timeout: 'honoured' },
  async ({ containerId, timeout }, { pods }, { signal }) => {
    await pods.stopContainer(containerId, graceMsOf(timeout), signal);
    return {};
  },
);

function graceMsOf(seconds: bigint): number {
  if (seconds <= 0n) return 0;
  return Number(seconds > maxGraceSeconds ? maxGraceSeconds : seconds) * 1_000;
}
