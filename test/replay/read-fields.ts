/**
 * What is demanded of a field of an answer, where the recorded answer has the message around it:
 * - `same`: what was recorded, with our ids and paths in the place of the recorded ones
 * - `set`: not empty, not zero
 * - `alike`: set if and only if it was recorded as set
 * - `if recorded`: set at least when it was recorded as set
 * - `present`: the message is there, its value may be zero
 */
export type Demand = 'same' | 'set' | 'alike' | 'if recorded' | 'present';

/** Fields by path; `a.b`, `a[0].b`, `a[key=value].b`. */
export type Demands = Readonly<Record<string, Demand>>;

/** What a kubelet reads of one method's answer. */
export interface ReadFields {
  readonly fields?: Demands;
  /** A repeated message whose items are told apart by `key`. */
  readonly items?: {
    readonly list: string;
    readonly key: string;
    readonly fields: Demands;
    /** Recorded items without this field are not expected. */
    readonly where?: string;
    /** No item may be there that was not recorded. */
    readonly exact: boolean;
  };
}

const sandbox: Demands = {
  'metadata.name': 'same',
  'metadata.namespace': 'same',
  'metadata.uid': 'same',
  'metadata.attempt': 'same',
  state: 'same',
  created_at: 'set',
};

const container: Demands = { 'metadata.name': 'same', 'metadata.attempt': 'same', state: 'same', created_at: 'set', image_ref: 'set' };

const image: Demands = { id: 'same', size: 'set', repo_tags: 'same', repo_digests: 'set', pinned: 'same' };

const usage: Demands = { 'cpu.usage_core_nano_seconds': 'present', 'memory.working_set_bytes': 'present' };

/** Which fields of which answers a kubelet reads; methods that are not here answer nothing that it looks at. */
export const readFields: Readonly<Record<string, ReadFields>> = {
  Version: { fields: { version: 'same', runtime_api_version: 'same', runtime_name: 'set', runtime_version: 'set' } },
  Status: {
    fields: { runtime_handlers: 'set', features: 'present' },
    items: { list: 'status.conditions', key: 'type', fields: { status: 'same' }, exact: false },
  },
  RuntimeConfig: { fields: { linux: 'present' } },
  RunPodSandbox: { fields: { pod_sandbox_id: 'set' } },
  PodSandboxStatus: {
    fields: {
      'status.id': 'same',
      ...below('status', sandbox),
      'status.network.ip': 'if recorded',
      'status.linux.namespaces.options.network': 'same',
      'status.labels': 'same',
      'status.annotations': 'same',
    },
  },
  ListPodSandbox: { items: { list: 'items', key: 'id', fields: { ...sandbox, labels: 'set', annotations: 'set' }, exact: true } },
  CreateContainer: { fields: { container_id: 'set' } },
  ContainerStatus: {
    fields: {
      'status.id': 'same',
      ...below('status', container),
      'status.started_at': 'alike',
      'status.finished_at': 'alike',
      'status.exit_code': 'alike',
      'status.reason': 'same',
      'status.image.image': 'same',
      'status.image_id': 'set',
      'status.labels': 'same',
      'status.annotations': 'same',
      'status.log_path': 'same',
      'status.mounts[container_path=/dev/termination-log].host_path': 'same',
      'status.resources.linux.cpu_period': 'same',
      'status.resources.linux.cpu_quota': 'same',
      'status.resources.linux.cpu_shares': 'same',
      'status.resources.linux.memory_limit_in_bytes': 'same',
    },
  },
  ListContainers: {
    items: {
      list: 'containers',
      key: 'id',
      fields: { ...container, pod_sandbox_id: 'same', 'image.image': 'set', image_id: 'set', labels: 'set', annotations: 'set' },
      exact: true,
    },
  },
  ListContainerStats: {
    items: {
      list: 'stats',
      key: 'attributes.id',
      where: 'cpu', // CRI: of running containers; containerd adds those that have ended, which a kubelet throws away
      fields: {
        'attributes.metadata.name': 'same',
        ...usage,
        'writable_layer.fs_id.mountpoint': 'set',
        'writable_layer.used_bytes': 'set',
      },
      exact: true,
    },
  },
  ListPodSandboxStats: {
    items: {
      list: 'stats',
      key: 'attributes.id',
      fields: {
        'attributes.metadata.name': 'same',
        'attributes.metadata.namespace': 'same',
        'attributes.metadata.uid': 'same',
        ...below('linux', usage),
        'linux.network.default_interface.name': 'set',
      },
      exact: true,
    },
  },
  Exec: { fields: { url: 'set' } },
  Attach: { fields: { url: 'set' } },
  PortForward: { fields: { url: 'set' } },
  ExecSync: { fields: { exit_code: 'same', stdout: 'same' } },
  PullImage: { fields: { image_ref: 'set' } },
  ImageStatus: { fields: { image: 'alike', ...below('image', image) } },
  ListImages: { items: { list: 'images', key: 'id', fields: image, exact: false } },
  ImageFsInfo: {
    fields: {
      'image_filesystems[0].timestamp': 'set',
      'image_filesystems[0].fs_id.mountpoint': 'set',
      'image_filesystems[0].used_bytes': 'present',
    },
  },
};

/** Fields that change while a container lives: not compared where ours has come further than the recorded one had. */
export const livingFields = ['state', 'started_at', 'finished_at', 'exit_code', 'reason'] as const;

function below(prefix: string, demands: Demands): Demands {
  return Object.fromEntries(Object.entries(demands).map(([path, demand]) => [`${prefix}.${path}`, demand]));
}
