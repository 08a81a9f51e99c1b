import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { vmletVersion } from '../../lib/version.ts';
import { rpc } from '../table.ts';

/** The version of the kubelet's runtime interface: a kubelet ends at any other answer. */
const kubeletInterfaceVersion = '0.1.0';

/** Names the runtime; answered whatever the state of libvirt. */
export const version = rpc(RuntimeService.method.version, { version: { ignored: 'the answer is the same' } }, () => ({
  version: kubeletInterfaceVersion,
  runtimeName: 'vmlet',
  runtimeVersion: vmletVersion,
  runtimeApiVersion: 'v1',
}));
