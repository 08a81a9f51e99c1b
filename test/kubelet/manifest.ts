import { randomUUID } from 'node:crypto';
import { parse } from 'yaml';
import { z } from 'zod';
import { milliCpu, quantityBytes } from './quantities.ts';
import type { Pod, PodContainer } from './pod.ts';

const dnsLabel = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'must be a DNS name in lower case');
const strings = z.array(z.string()).default([]);
const stringMap = z.record(z.string(), z.string()).default({});
const amounts = z
  .strictObject({ cpu: milliCpu.optional(), memory: quantityBytes.optional() })
  .default({})
  .transform(({ cpu, memory }) => ({
    ...(cpu === undefined ? {} : { milliCpu: cpu }),
    ...(memory === undefined ? {} : { memoryBytes: memory }),
  }));

const port = z
  .strictObject({
    name: z.string().optional(),
    containerPort: z.int().min(1).max(65535),
    hostPort: z.int().min(1).max(65535).optional(),
    hostIP: z.string().default(''),
    protocol: z.enum(['TCP', 'UDP', 'SCTP']).default('TCP'),
  })
  .transform(({ name, hostPort = 0, hostIP: hostIp, ...rest }) => ({ ...rest, ...(name === undefined ? {} : { name }), hostPort, hostIp }));

const container = z.strictObject({
  name: dnsLabel,
  image: z.string().min(1),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).optional(),
  command: strings,
  args: strings,
  workingDir: z.string().default(''),
  env: z.array(z.strictObject({ name: z.string().min(1), value: z.string().default('') })).default([]),
  ports: z.array(port).default([]),
  resources: z.strictObject({ requests: amounts, limits: amounts }).prefault({}),
  stdin: z.boolean().default(false),
  stdinOnce: z.boolean().default(false),
  tty: z.boolean().default(false),
  terminationMessagePath: z.string().default('/dev/termination-log'),
  terminationMessagePolicy: z.enum(['File', 'FallbackToLogsOnError']).default('File'),
});

/** What concerns the scheduler and controllers alone: it never reaches a runtime. */
const notForRuntimes = {
  nodeName: z.unknown().optional(),
  nodeSelector: z.unknown().optional(),
  tolerations: z.unknown().optional(),
  affinity: z.unknown().optional(),
  priorityClassName: z.unknown().optional(),
  serviceAccountName: z.unknown().optional(),
  restartPolicy: z.enum(['Always', 'OnFailure', 'Never']).optional(),
};

const manifest = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('Pod'),
  metadata: z.strictObject({
    name: dnsLabel,
    namespace: dnsLabel.default('default'),
    uid: z.string().min(1).optional(),
    labels: stringMap,
    annotations: stringMap,
  }),
  spec: z.strictObject({
    ...notForRuntimes,
    runtimeClassName: z.string().default(''),
    hostNetwork: z.boolean().default(false),
    hostname: dnsLabel.optional(),
    dnsPolicy: z.enum(['ClusterFirst', 'Default', 'None']).default('ClusterFirst'),
    dnsConfig: z
      .strictObject({
        nameservers: strings,
        searches: strings,
        options: z.array(z.strictObject({ name: z.string(), value: z.string().optional() })).default([]),
      })
      .prefault({}),
    terminationGracePeriodSeconds: z.int().min(0).default(30),
    automountServiceAccountToken: z.boolean().default(true),
    overhead: amounts,
    containers: z.array(container).min(1),
  }),
});

/** What the API server adds to a manifest; random uid and the present time by default. */
export interface Admission {
  readonly uid?: string;
  readonly seenAt?: string;
}

/**
 * Reads a v1 Pod manifest as API server and kubelet do, defaults applied. The name of its RuntimeClass is taken as the handler's.
 * Throws for YAML errors and, with all problems, for what a Pod may not have or this player does not play (volumes, probes, init
 * containers): a test must not believe that a field had an effect.
 */
export function podFromManifest(yamlText: string, admission: Admission = {}): Pod {
  const parsed = manifest.safeParse(parse(yamlText));
  if (!parsed.success) throw new Error(`not a Pod that can be played:\n${z.prettifyError(parsed.error)}`);
  const { metadata, spec } = parsed.data;
  return {
    name: metadata.name,
    namespace: metadata.namespace,
    uid: metadata.uid ?? admission.uid ?? randomUUID(),
    labels: metadata.labels,
    annotations: metadata.annotations,
    seenAt: admission.seenAt ?? new Date().toISOString().replace('Z', '000000Z'),
    runtimeHandler: spec.runtimeClassName,
    hostNetwork: spec.hostNetwork,
    hostname: spec.hostname ?? metadata.name.slice(0, 63),
    dnsPolicy: spec.dnsPolicy,
    dns: {
      servers: spec.dnsConfig.nameservers,
      searches: spec.dnsConfig.searches,
      options: spec.dnsConfig.options.map(({ name, value }) => (value === undefined ? name : `${name}:${value}`)),
    },
    terminationGracePeriodSeconds: spec.terminationGracePeriodSeconds,
    automountServiceAccountToken: spec.automountServiceAccountToken,
    overhead: spec.overhead,
    containers: spec.containers.map(withDefaults),
  };
}

function withDefaults(given: z.output<typeof container>): PodContainer {
  const { resources, imagePullPolicy, ...rest } = given;
  const latest = /^[^@]*:latest$/.test(given.image) || !/[:@][^/]*$/.test(given.image);
  return {
    ...rest,
    imagePullPolicy: imagePullPolicy ?? (latest ? 'Always' : 'IfNotPresent'),
    // The API server sets a request that is not given to the limit.
    requests: { ...resources.limits, ...resources.requests },
    limits: resources.limits,
  };
}
