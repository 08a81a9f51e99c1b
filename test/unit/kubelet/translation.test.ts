import { create, toJson, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ContainerConfigSchema, PodSandboxConfigSchema } from '../../../src/gen/runtime/v1/api_pb.js';
import { containerConfig, nodeSettings, podFromManifest, sandboxConfig } from '../../kubelet/kubelet.ts';
import { expectGolden } from '../../lib/golden.ts';

const settings = { ...nodeSettings('/var/lib'), logRoot: '/var/log/pods' };
const clusterSettings = {
  ...settings,
  clusterDns: ['10.96.0.10'],
  nodeDns: { servers: ['192.0.2.53'], searches: ['example.org'], options: ['timeout:2'] },
};

const head = (name: string): string => `
apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  uid: 44f659f1-bf18-4413-9cdf-425f009e88ba
  labels: {app: ${name}}
  annotations: {vmlet.dev/vcpus: "2"}
`;

const manifests = {
  burstable: `${head('demo')}
spec:
  runtimeClassName: vm
  overhead: {memory: 96Mi, cpu: 250m}
  terminationGracePeriodSeconds: 5
  containers:
    - name: main
      image: example.com/tiny:1
      env: [{name: GREETING, value: hello}]
      stdin: true
      ports: [{containerPort: 8080, hostPort: 18081}, {name: dns, containerPort: 53, protocol: UDP}]
      resources:
        limits: {cpu: 200m, memory: 64Mi}
        requests: {cpu: 100m, memory: 1Mi}
`,
  'best-effort': `${head('plain')}
spec:
  automountServiceAccountToken: false
  dnsConfig: {nameservers: [192.0.2.99], searches: [a.example], options: [{name: edns0}, {name: ndots, value: "2"}]}
  containers: [{name: vm, image: "example.com/tiny:1"}]
`,
  guaranteed: `${head('sure')}
spec:
  runtimeClassName: vm
  dnsPolicy: None
  dnsConfig: {nameservers: [192.0.2.99]}
  containers: [{name: vm, image: "example.com/tiny:1", command: [run], args: [a, b], resources: {limits: {cpu: "2", memory: 1Gi}}}]
`,
  'host-network': `${head('host')}
spec:
  hostNetwork: true
  containers: [{name: vm, image: "example.com/tiny:1", ports: [{containerPort: 80}]}]
`,
} as const;

describe('what a kubelet sends', () => {
  it.each(Object.entries(manifests))('for a %s pod', (name, yaml) => {
    expect.hasAssertions();
    const pod = podFromManifest(yaml, { seenAt: '2026-11-22T09:49:36.485269712Z' });
    const node = name === 'best-effort' ? clusterSettings : settings;
    const sandbox = render(PodSandboxConfigSchema, sandboxConfig(node, pod));
    const containers = pod.containers.map((container) =>
      render(ContainerConfigSchema, containerConfig(node, pod, { container, attempt: 3, imageId: `sha256:${'ab'.repeat(32)}` })),
    );
    expectGolden(`kubelet/${name}.json`, `${JSON.stringify({ sandbox, containers }, undefined, 2)}\n`);
  });
});

function render<S extends DescMessage>(schema: S, init: MessageInitShape<S>): unknown {
  return toJson(schema, create(schema, init), { useProtoFieldName: true });
}
