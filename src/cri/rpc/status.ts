import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { runtimeHandlers } from '../handlers.ts';
import { rpc } from '../table.ts';
import { verboseInfo } from '../verbose.ts';

/** No user namespaces, no recursive read-only mounts: a kubelet then refuses such pods by itself. */
const features = { recursiveReadOnlyMounts: false, userNamespaces: false };

/** Tells whether runtime and network can take work, and which handlers there are. */
export const status = rpc(RuntimeService.method.status, { verbose: 'honoured' }, (request, { runtime }) => ({
  status: {
    conditions: Object.entries({ RuntimeReady: runtime.runtimeCondition(), NetworkReady: runtime.networkCondition() }).map(
      ([type, { ready, reason, message }]) => ({ type, status: ready, reason, message }),
    ),
  },
  runtimeHandlers: runtimeHandlers.map((name) => ({ name, features })),
  features: {},
  info: verboseInfo(request.verbose, runtime.info),
}));
