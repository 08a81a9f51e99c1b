import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { sandboxConfigFromProto } from '../../../src/cri/sandbox-request.ts';
import {
  LinuxContainerResourcesSchema,
  LinuxPodSandboxConfigSchema,
  NamespaceMode,
  NamespaceOptionSchema,
  PodSandboxMetadataSchema,
  PortMappingSchema,
  SecurityProfile_ProfileType as Profile,
  SecurityProfileSchema,
  SupplementalGroupsPolicy,
  type LinuxSandboxSecurityContext,
  type PodSandboxConfig,
} from '../../../src/gen/runtime/v1/api_pb.js';
import { recordedPodUid, recordedSandbox, refusal } from './requests.ts';

type Change = (config: PodSandboxConfig) => void;

function convert(change: Change = () => undefined, handler = 'vm'): ReturnType<typeof sandboxConfigFromProto> {
  const { config } = recordedSandbox();
  change(config);
  return sandboxConfigFromProto(config, handler);
}

const security =
  (change: (context: LinuxSandboxSecurityContext) => void): Change =>
  ({ linux }) => {
    if (!linux?.securityContext) throw new Error('the recording has no security context');
    change(linux.securityContext);
  };

const namespaces = (given: Partial<Record<'network' | 'pid' | 'ipc', NamespaceMode>>): Change =>
  security((context) => void (context.namespaceOptions = create(NamespaceOptionSchema, given)));

describe('what a kubelet sends', () => {
  test('is taken whole', () => {
    expect(convert()).toEqual({
      metadata: { name: 'demo', namespace: 'default', uid: recordedPodUid, attempt: 0 },
      hostname: 'demo',
      logDirectory: `/var/log/pods/default_demo_${recordedPodUid}`,
      dns: { servers: ['127.0.0.1'], searches: [], options: [] },
      portMappings: [{ protocol: 'TCP', containerPort: 8080, hostPort: 18_081, hostIp: '' }],
      labels: {
        app: 'demo',
        'io.kubernetes.pod.name': 'demo',
        'io.kubernetes.pod.namespace': 'default',
        'io.kubernetes.pod.uid': recordedPodUid,
      },
      annotations: expect.objectContaining({ note: 'demo', 'kubernetes.io/config.source': 'api' }),
      cgroupParent: `/kubepods/burstable/pod${recordedPodUid}`,
      namespaceOptions: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' },
      resources: expect.objectContaining({ cpuPeriodUs: 100_000, cpuQuotaUs: 20_000, cpuShares: 102, memoryLimitBytes: 67_108_864 }),
      overhead: expect.objectContaining({ memoryLimitBytes: 0 }),
      runtimeHandler: 'vm',
    });
  });

  test('may be little: as crictl sends it', () => {
    const config = convert((proto) => {
      Object.assign(proto, { linux: undefined, dnsConfig: undefined, hostname: '', logDirectory: '', portMappings: [] });
    }, '');
    expect(config).toMatchObject({ hostname: '', logDirectory: '', cgroupParent: '', runtimeHandler: '' });
    expect(config.namespaceOptions).toEqual({ network: 'POD', pid: 'POD', ipc: 'POD' });
    expect(config).not.toHaveProperty('resources');
    expect(config).not.toHaveProperty('overhead');
  });

  test.each<[string, Change]>([
    ['a host name with a domain', (config) => void (config.hostname = 'demo.sub.default.svc.cluster.local')],
    [
      'a cgroup of the systemd driver',
      (config) => void (config.linux = create(LinuxPodSandboxConfigSchema, { cgroupParent: '/kubepods.slice/kubepods-pod1.slice' })),
    ],
    ['RuntimeDefault seccomp', security((context) => void (context.seccomp = create(SecurityProfileSchema, {})))],
    [
      'Unconfined AppArmor',
      security((context) => void (context.apparmor = create(SecurityProfileSchema, { profileType: Profile.Unconfined }))),
    ],
    ['privileged', security((context) => void (context.privileged = true))],
    ['a user with a group', security((context) => void Object.assign(context, { runAsUser: { value: 1n }, runAsGroup: { value: 1n } }))],
    ['supplemental groups', security((context) => void (context.supplementalGroups = [1n]))],
    ['pid POD', namespaces({ pid: NamespaceMode.POD })],
  ])('%s passes', (_what, change) => {
    expect(() => convert(change)).not.toThrow();
  });
});

describe('refusals name the field and what is accepted', () => {
  const id = { hostId: 0, containerId: 0, length: 1 };
  test.each<[string, Change, RegExp]>([
    ['hostNetwork', namespaces({ network: NamespaceMode.NODE }), /namespace_options\.network: NODE \(hostNetwork\).*accepted: POD$/],
    ['network CONTAINER', namespaces({ network: NamespaceMode.CONTAINER }), /namespace_options\.network: CONTAINER/],
    ['network TARGET', namespaces({ network: NamespaceMode.TARGET }), /namespace_options\.network: TARGET/],
    ['hostPID', namespaces({ pid: NamespaceMode.NODE }), /namespace_options\.pid: NODE \(hostPID\).*accepted: POD, CONTAINER$/],
    ['hostIPC', namespaces({ ipc: NamespaceMode.NODE }), /namespace_options\.ipc: NODE \(hostIPC\).*accepted: POD$/],
    ['ipc TARGET', namespaces({ ipc: NamespaceMode.TARGET }), /namespace_options\.ipc: TARGET/],
    ['an unknown mode', namespaces({ network: 17 as NamespaceMode }), /namespace_options\.network: 17/],
    [
      'user id mappings',
      security(
        (context) =>
          void (context.namespaceOptions = create(NamespaceOptionSchema, { usernsOptions: { mode: NamespaceMode.POD, uids: [id] } })),
      ),
      /userns_options: id mappings/,
    ],
    [
      'a user namespace of another kind',
      security(
        (context) => void (context.namespaceOptions = create(NamespaceOptionSchema, { usernsOptions: { mode: NamespaceMode.TARGET } })),
      ),
      /userns_options\.mode: TARGET.*accepted: POD, NODE/,
    ],
    [
      'sysctls',
      (config) => void Object.assign(config.linux ?? {}, { sysctls: { 'net.core.somaxconn': '1' } }),
      /^config\.linux\.sysctls: net\.core\.somaxconn .*accepted: none/,
    ],
    [
      'a Localhost seccomp profile',
      security(
        (context) => void (context.seccomp = create(SecurityProfileSchema, { profileType: Profile.Localhost, localhostRef: 'mine.json' })),
      ),
      /security_context\.seccomp: .*"mine\.json".*accepted: RuntimeDefault, Unconfined/,
    ],
    [
      'a Localhost AppArmor profile',
      security((context) => void (context.apparmor = create(SecurityProfileSchema, { profileType: Profile.Localhost }))),
      /security_context\.apparmor: /,
    ],
    [
      'the old form of a seccomp profile',
      security((context) => void (context.seccompProfilePath = 'localhost/x')),
      /seccomp_profile_path: /,
    ],
    [
      'a group without a user',
      security((context) => void Object.assign(context, { runAsGroup: { value: 1n } })),
      /run_as_group: needs run_as_user/,
    ],
    [
      'strict supplemental groups',
      security((context) => void (context.supplementalGroupsPolicy = SupplementalGroupsPolicy.Strict)),
      /supplemental_groups_policy: Strict.*accepted: Merge/,
    ],
    ['a host name with an underscore', (config) => void (config.hostname = 'a_b'), /^config\.hostname: "a_b"/],
    ['a host name in capitals', (config) => void (config.hostname = 'Demo'), /^config\.hostname: /],
    ['a label of more than 63', (config) => void (config.hostname = 'a'.repeat(64)), /^config\.hostname: .*at most 63/],
    [
      'a host name of more than 64',
      (config) => void (config.hostname = `${'a'.repeat(40)}.${'b'.repeat(24)}`),
      /^config\.hostname: .*at most 64/,
    ],
    ['an empty label', (config) => void (config.hostname = 'a..b'), /^config\.hostname: /],
    [
      'a relative cgroup',
      (config) => void Object.assign(config.linux ?? {}, { cgroupParent: 'kubepods' }),
      /^config\.linux\.cgroup_parent: "kubepods" must be/,
    ],
    [
      'a cgroup with ..',
      (config) => void Object.assign(config.linux ?? {}, { cgroupParent: '/kubepods/../x' }),
      /^config\.linux\.cgroup_parent: /,
    ],
    [
      'a relative log directory',
      (config) => void (config.logDirectory = 'var/log'),
      /^config\.log_directory: "var\/log" must be an absolute path/,
    ],
    ['a log directory with ..', (config) => void (config.logDirectory = '/var/log/../../etc'), /^config\.log_directory: /],
    ['no metadata', (config) => void Object.assign(config, { metadata: undefined }), /^config\.metadata\.name: is missing/],
    [
      'no namespace',
      (config) => void (config.metadata = create(PodSandboxMetadataSchema, { name: 'a', uid: 'u' })),
      /^config\.metadata\.namespace: is missing/,
    ],
    [
      'no uid',
      (config) => void (config.metadata = create(PodSandboxMetadataSchema, { name: 'a', namespace: 'n' })),
      /^config\.metadata\.uid: is missing/,
    ],
    [
      'a name that leads elsewhere',
      (config) => void (config.metadata = create(PodSandboxMetadataSchema, { name: '../a', namespace: 'n', uid: 'u' })),
      /^config\.metadata\.name: "\.\.\/a" must be/,
    ],
    [
      'huge pages',
      (config) =>
        void Object.assign(config.linux ?? {}, {
          resources: create(LinuxContainerResourcesSchema, { hugepageLimits: [{ pageSize: '2MB', limit: 1n }] }),
        }),
      /^config\.linux\.resources\.hugepage_limits: 2MB .*accepted: a limit of 0/,
    ],
    [
      'an overhead beyond exact numbers',
      (config) =>
        void Object.assign(config.linux ?? {}, { overhead: create(LinuxContainerResourcesSchema, { memoryLimitInBytes: 2n ** 53n }) }),
      /^config\.linux\.overhead\.memory_limit_in_bytes: 9007199254740992 is out of range/,
    ],
    [
      'a port mapping on an address that is none',
      (config) => void (config.portMappings = [create(PortMappingSchema, { containerPort: 1, hostPort: 1, hostIp: 'eth0' })]),
      /^config\.port_mappings\[0\]\.host_ip: "eth0" is no IP address/,
    ],
  ])('%s', (_what, change, message) => {
    expect(refusal(() => convert(change))).toMatch(message);
  });

  test.each(['kata', 'VM', ' vm'])('the handler %j', (handler) => {
    expect(refusal(() => convert(undefined, handler))).toBe(
      `runtime_handler: no runtime for ${JSON.stringify(handler)} is configured; accepted: "", "vm"`,
    );
  });

  test('no config at all', () => {
    expect(refusal(() => sandboxConfigFromProto(undefined, ''))).toBe('config: is missing');
  });

  test('pid TARGET is not offered rather than wrong', () => {
    expect(refusal(() => convert(namespaces({ pid: NamespaceMode.TARGET })), 'UNIMPLEMENTED')).toMatch(/namespace_options\.pid: TARGET/);
  });
});
