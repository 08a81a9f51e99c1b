import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { rpc } from '../table.ts';

/** Hears of the node's range of pod addresses. */
export const updateRuntimeConfig = rpc(
  RuntimeService.method.updateRuntimeConfig,
  { runtime_config: { ignored: 'CNI’s own configuration decides about addresses' } },
  () => ({}),
);
