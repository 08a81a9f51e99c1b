import { builtRpcs } from '../../src/cri/rpc/built.ts';
import { valueAt } from './json.ts';
import type { RecordedCall } from './recording.ts';

/** A call that is meant to end otherwise than recorded. */
interface Otherwise {
  readonly method: string;
  readonly when?: { readonly path: string; readonly is: string };
  /** Any of these. */
  readonly codes: readonly string[];
  readonly why: string;
}

const noAgent = 'the guests of the replay have no agent; nothing but a status of its own can tell';
const noAgentCodes = ['FAILED_PRECONDITION', 'UNAVAILABLE', 'UNKNOWN', 'DEADLINE_EXCEEDED'];

/** Where we differ from containerd on purpose. */
export const otherwise: readonly Otherwise[] = [
  {
    method: 'CreateContainer',
    when: { path: 'config.metadata.name', is: 'dbg' },
    codes: ['UNIMPLEMENTED'],
    why: 'it asks to share the processes of main (pid TARGET), which are a guest’s',
  },
  {
    method: 'CreateContainer',
    when: { path: 'config.command[0]', is: '/no/such/command' },
    codes: ['INVALID_ARGUMENT'],
    why: 'a VM has no command',
  },
  {
    method: 'RunPodSandbox',
    when: { path: 'runtime_handler', is: 'lab' },
    codes: ['INVALID_ARGUMENT'],
    why: 'the request names a handler that there is not; a kubelet only shows the text',
  },
  {
    method: 'PullImage',
    when: { path: 'image.image', is: 'registry.k8s.io/lab/absent:1' },
    codes: ['UNKNOWN'],
    why: 'the code that a kubelet strips from the text it shows',
  },
  { method: 'ExecSync', codes: noAgentCodes, why: noAgent },
  { method: 'Exec', codes: ['OK', ...noAgentCodes], why: noAgent },
];

const built = new Set(builtRpcs.map(({ method }) => method.name));

/** The gRPC codes with which a recorded call may end: as containerd's did, but for what is not built, what containerd lacks, and `otherwise`. */
export function expectedCodes({ method, request, error }: RecordedCall): readonly string[] {
  if (!built.has(method)) return ['UNIMPLEMENTED'];
  const other = otherwise.find((one) => one.method === method && (!one.when || valueAt(request, one.when.path) === one.when.is));
  if (other) return other.codes;
  return [error === undefined || error === 'UNIMPLEMENTED' ? 'OK' : error];
}
