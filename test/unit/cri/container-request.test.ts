import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { containerConfigFromProto } from '../../../src/cri/container-request.ts';
import {
  ContainerMetadataSchema,
  DeviceSchema,
  ImageSpecSchema,
  LinuxContainerConfigSchema,
  MountPropagation,
  MountSchema,
  NamespaceMode,
  SecurityProfile_ProfileType as Profile,
  Signal,
  type ContainerConfig,
} from '../../../src/gen/runtime/v1/api_pb.js';
import { recordedContainer, recordedPodUid, refusal } from './requests.ts';

type Change = (config: ContainerConfig) => void;

const podDir = `/var/lib/kubelet/pods/${recordedPodUid}`;

function convert(change: Change = () => undefined): ReturnType<typeof containerConfigFromProto> {
  const { config } = recordedContainer();
  change(config);
  return containerConfigFromProto(config, recordedPodUid);
}

const linux =
  (given: Parameters<typeof create<typeof LinuxContainerConfigSchema>>[1]): Change =>
  (config) =>
    void (config.linux = create(LinuxContainerConfigSchema, given));

const mount =
  (given: Parameters<typeof create<typeof MountSchema>>[1]): Change =>
  (config) =>
    void config.mounts.push(create(MountSchema, given));

describe('what a kubelet sends', () => {
  test('is taken whole', () => {
    expect(convert()).toEqual({
      name: 'web',
      attempt: 0,
      image: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      userSpecifiedImage: 'registry.k8s.io/lab/web:1',
      labels: expect.objectContaining({ 'io.kubernetes.container.name': 'web', 'io.kubernetes.pod.uid': recordedPodUid }),
      annotations: expect.objectContaining({ 'io.kubernetes.container.terminationMessagePath': '/dev/termination-log' }),
      mounts: [
        { containerPath: '/var/run/secrets/kubernetes.io/serviceaccount', readonly: true },
        { containerPath: '/etc/hosts', hostPath: `${podDir}/etc-hosts`, readonly: false },
        { containerPath: '/dev/termination-log', hostPath: `${podDir}/containers/web/bace922f` },
      ].map((one): unknown => expect.objectContaining({ selinuxRelabel: false, propagation: 0, recursiveReadOnly: false, ...one })),
      logPath: 'web/0.log',
      resources: {
        cpuPeriodUs: 100_000,
        cpuQuotaUs: 0,
        cpuShares: 2,
        memoryLimitBytes: 0,
        memorySwapLimitBytes: 0,
        oomScoreAdj: 999,
        cpusetCpus: '',
        cpusetMems: '',
        unified: {},
        hugepageLimits: [
          { pageSize: '2MB', limitBytes: 0 },
          { pageSize: '1GB', limitBytes: 0 },
        ],
      },
      stdin: false,
      stdinOnce: false,
      tty: false,
      stopSignal: 0,
    });
  });

  test.each<[string, Change]>([
    ['nothing of Linux', (config) => void Object.assign(config, { linux: undefined })],
    ['no log', (config) => void (config.logPath = '')],
    ['no mounts', (config) => void (config.mounts = [])],
    ['a signal to stop with', (config) => void (config.stopSignal = Signal.SIGINT)],
    ['a quota of -1, which is none', linux({ resources: { cpuQuota: -1n } })],
    ['capabilities', linux({ securityContext: { capabilities: { addCapabilities: ['NET_ADMIN'], dropCapabilities: ['ALL'] } } })],
    ['no_new_privs, as runAsNonRoot pods have it', linux({ securityContext: { noNewPrivs: true, runAsUser: { value: 1000n } } })],
    ['a read-only root', linux({ securityContext: { readonlyRootfs: true } })],
    ['a user by name with a group', linux({ securityContext: { runAsUsername: 'web', runAsGroup: { value: 1n } } })],
    ['privileged', linux({ securityContext: { privileged: true } })],
  ])('%s passes', (_what, change) => {
    expect(() => convert(change)).not.toThrow();
  });

  test('a termination log where the pod’s author wants it passes', () => {
    const config = convert((proto) => {
      proto.annotations['io.kubernetes.container.terminationMessagePath'] = '/tmp/why';
      const log = proto.mounts.find(({ containerPath }) => containerPath === '/dev/termination-log');
      if (log) log.containerPath = '/tmp/why';
    });
    expect(config.mounts.map(({ containerPath }) => containerPath)).toContain('/tmp/why');
  });
});

describe('refusals name the field and what is accepted', () => {
  test.each<[string, Change, RegExp]>([
    ['a command', (config) => void (config.command = ['sh', '-c', 'true']), /^config\.command: "sh -c true": .*accepted: unset$/],
    ['arguments', (config) => void (config.args = ['-v']), /^config\.args: "-v"/],
    ['a working directory', (config) => void (config.workingDir = '/srv'), /^config\.working_dir: "\/srv"/],
    [
      'devices',
      (config) => void (config.devices = [create(DeviceSchema, { containerPath: '/dev/vdb' })]),
      /^config\.devices: "\/dev\/vdb".*accepted: none$/,
    ],
    [
      'CDI devices',
      (config) => void Object.assign(config, { CDIDevices: [{ name: 'vendor.com/gpu=0' }] }),
      /^config\.CDI_devices: "vendor\.com\/gpu=0"/,
    ],
    ['no name', (config) => void Object.assign(config, { metadata: undefined }), /^config\.metadata\.name: is missing/],
    [
      'a name that leads elsewhere',
      (config) => void (config.metadata = create(ContainerMetadataSchema, { name: 'a/b' })),
      /^config\.metadata\.name: "a\/b"/,
    ],
    ['no image', (config) => void Object.assign(config, { image: undefined }), /^config\.image\.image: is missing/],
    ['an empty image', (config) => void (config.image = create(ImageSpecSchema, {})), /^config\.image\.image: is missing/],
    [
      'an absolute log path',
      (config) => void (config.logPath = '/etc/passwd'),
      /^config\.log_path: "\/etc\/passwd" must be a relative path/,
    ],
    ['a log path that leads out', (config) => void (config.logPath = 'a/../../b'), /^config\.log_path: /],
    ['an unknown signal', (config) => void (config.stopSignal = 999 as Signal), /^config\.stop_signal: 999/],
    [
      'huge pages',
      linux({ resources: { hugepageLimits: [{ pageSize: '1GB', limit: 2n ** 30n }] } }),
      /^config\.linux\.resources\.hugepage_limits: 1GB/,
    ],
    [
      'a number that is not exact',
      linux({ resources: { memoryLimitInBytes: 2n ** 60n } }),
      /^config\.linux\.resources\.memory_limit_in_bytes: /,
    ],
    [
      'hostNetwork',
      linux({ securityContext: { namespaceOptions: { network: NamespaceMode.NODE } } }),
      /^config\.linux\.security_context\.namespace_options\.network: NODE/,
    ],
    ['a group without a user', linux({ securityContext: { runAsGroup: { value: 1n } } }), /run_as_group: needs run_as_user/],
    [
      'Localhost seccomp',
      linux({ securityContext: { seccomp: { profileType: Profile.Localhost, localhostRef: 'x' } } }),
      /security_context\.seccomp: /,
    ],
    [
      'the old form of an AppArmor profile',
      linux({ securityContext: { apparmorProfile: 'localhost/x' } }),
      /apparmor_profile: "localhost\/x"/,
    ],
  ])('%s', (_what, change, message) => {
    expect(refusal(() => convert(change))).toMatch(message);
  });

  test('no config at all', () => {
    expect(refusal(() => containerConfigFromProto(undefined, recordedPodUid))).toBe('config: is missing');
  });

  test('pid TARGET is not offered rather than wrong', () => {
    const change = linux({ securityContext: { namespaceOptions: { pid: NamespaceMode.TARGET, targetId: 'x' } } });
    expect(refusal(() => convert(change), 'UNIMPLEMENTED')).toMatch(/pid: TARGET/);
  });
});

describe('mounts that are not the kubelet’s own are refused by name', () => {
  const volume = `${podDir}/volumes/kubernetes.io~empty-dir/scratch`;
  test.each<[string, Change, RegExp]>([
    [
      'a volume',
      mount({ containerPath: '/scratch', hostPath: volume }),
      /^config\.mounts\[3\]: "\/scratch" from ".*scratch": volumes are not built yet/,
    ],
    ['a directory of the node', mount({ containerPath: '/host', hostPath: '/' }), /^config\.mounts\[3\]: "\/host" from "\/"/],
    [
      'a volume in the place of /etc/hosts',
      mount({ containerPath: '/etc/hosts', hostPath: volume }),
      /^config\.mounts\[3\]: "\/etc\/hosts"/,
    ],
    [
      'another pod’s /etc/hosts',
      mount({ containerPath: '/etc/hosts', hostPath: '/var/lib/kubelet/pods/other/etc-hosts' }),
      /^config\.mounts\[3\]: /,
    ],
    [
      'a file of the node as termination log',
      mount({ containerPath: '/dev/termination-log', hostPath: '/etc/shadow' }),
      /^config\.mounts\[3\]: /,
    ],
    [
      'a termination log by a crooked path',
      mount({ containerPath: '/dev/termination-log', hostPath: `${podDir}/containers/../../../../etc/shadow` }),
      /^config\.mounts\[3\]: /,
    ],
    ['a relative path', mount({ containerPath: '/etc/hosts', hostPath: `x/pods/${recordedPodUid}/etc-hosts` }), /^config\.mounts\[3\]: /],
    [
      'a termination log that the annotations do not name',
      (config) => void delete config.annotations['io.kubernetes.container.terminationMessagePath'],
      /^config\.mounts\[2\]: "\/dev\/termination-log"/,
    ],
    [
      'an image volume',
      mount({ containerPath: '/data', image: { image: 'sha256:1' } }),
      /^config\.mounts\[3\]: "\/data" from image "sha256:1"/,
    ],
    [
      'an image in the place of /etc/hosts',
      mount({ containerPath: '/etc/hosts', hostPath: `${podDir}/etc-hosts`, image: { image: 'x' } }),
      /^config\.mounts\[3\]: "\/etc\/hosts" from image "x"/,
    ],
    [
      'propagation into the guest',
      mount({ containerPath: '/x', propagation: MountPropagation.PROPAGATION_BIDIRECTIONAL }),
      /^config\.mounts\[3\]\.propagation: PROPAGATION_BIDIRECTIONAL/,
    ],
    [
      'recursive read-only',
      mount({ containerPath: '/x', readonly: true, recursiveReadOnly: true }),
      /^config\.mounts\[3\]\.recursive_read_only: /,
    ],
    ['id mappings', mount({ containerPath: '/x', gidMappings: [{ length: 1 }] }), /^config\.mounts\[3\]\.uidMappings: /],
    ['mount options', mount({ containerPath: '/x', mountOptions: ['noexec'] }), /^config\.mounts\[3\]\.mount_options: noexec/],
  ])('%s', (_what, change, message) => {
    expect(refusal(() => convert(change))).toMatch(message);
  });
});
