/** How a phase of the recording is played. */
export interface Phase {
  /** What went on. */
  readonly what: string;
  readonly played: 'whole' | 'without web' | 'in part';
  /** What is not played or answered otherwise, and why. */
  readonly why?: string;
}

const oneVm = 'a sandbox holds one VM: calls about `web` are left out, its image is pulled';
const http = 'the stream itself, which is HTTP and no CRI';

/** Every phase of the recording, in its order. */
export const phases = {
  startup: { what: 'a kubelet starts on a node with one stopped pod', played: 'whole' },
  idle: { what: 'a minute without pods; the stopped one is collected', played: 'whole' },
  'pod-create': { what: 'a pod with init, main and web; images are pulled', played: 'without web', why: oneVm },
  'pod-running-idle': { what: 'polls while it runs', played: 'without web', why: oneVm },
  logs: { what: 'kubectl logs', played: 'without web', why: oneVm },
  exec: { what: 'kubectl exec', played: 'in part', why: http },
  'exec-tty': { what: 'kubectl exec -it', played: 'in part', why: http },
  attach: { what: 'kubectl attach', played: 'in part', why: http },
  'port-forward': { what: 'kubectl port-forward', played: 'in part', why: http },
  'stats-summary': { what: 'the summary API is read', played: 'without web', why: oneVm },
  'debug-container': {
    what: 'kubectl debug adds a container to the running pod',
    played: 'in part',
    why: '`dbg` is refused: it wants the processes of main (`--target`), and a sandbox holds one VM; nothing more is asked about it',
  },
  'pod-delete': { what: 'the pod is deleted', played: 'without web', why: oneVm },
  probes: { what: 'a pod with postStart hook, liveness and readiness probe', played: 'whole' },
  'probes-delete': { what: 'it is deleted, with a preStop hook', played: 'whole' },
  'crash-loop': { what: 'a container that fails is started again, three times', played: 'whole' },
  'crash-delete': { what: 'it is deleted', played: 'whole' },
  'image-pull-error': { what: 'a pod whose image does not exist', played: 'whole' },
  'bad-command': {
    what: 'a pod whose command does not exist',
    played: 'in part',
    why: 'a VM has no command: CreateContainer refuses it, where containerd fails in StartContainer; nothing more is asked about it',
  },
  'unknown-runtime-handler': {
    what: 'a RuntimeClass that the node does not have; dead pods are collected',
    played: 'in part',
    why: 'the container of bad-command was never made',
  },
  'before-kubelet-restart': { what: 'the first pod once more, images present', played: 'without web', why: oneVm },
  'evented-pleg': { what: 'a pod’s life with the gate EventedPLEG', played: 'without web', why: oneVm },
  'stats-from-cri': { what: 'a pod’s life with the gate PodAndContainerStatsFromCRI', played: 'without web', why: oneVm },
  'list-streaming': { what: 'a kubelet starts with the gate CRIListStreaming', played: 'without web', why: oneVm },
} as const satisfies Readonly<Record<string, Phase>>;

/** A phase's name, and that of its file in test/fixtures/kubelet-traffic. */
export type PhaseName = keyof typeof phases;

/** The first twenty are one story on one node. */
export const story: readonly PhaseName[] = (Object.keys(phases) as PhaseName[]).slice(0, 20);

/** Three kubelets with feature gates, one after the other on a node that has no pods before. */
export const gated: readonly PhaseName[] = (Object.keys(phases) as PhaseName[]).slice(20);
