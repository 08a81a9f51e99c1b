/** One port of a container (v1 `ContainerPort`). */
export interface PodPort {
  readonly name?: string;
  readonly containerPort: number;
  /** 0 = not published. */
  readonly hostPort: number;
  readonly hostIp: string;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
}

/** Amounts of one kind (requests, limits or overhead); absent = not given. */
export interface Amounts {
  /** Thousandths of a CPU. */
  readonly milliCpu?: number;
  readonly memoryBytes?: number;
}

/** One container of a pod, after the API server's defaults. */
export interface PodContainer {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly workingDir: string;
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly PodPort[];
  readonly requests: Amounts;
  readonly limits: Amounts;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly tty: boolean;
  readonly terminationMessagePath: string;
  readonly terminationMessagePolicy: 'File' | 'FallbackToLogsOnError';
}

/** A pod as the kubelet sees it: the manifest after the API server's defaults, with its uid. */
export interface Pod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** RFC 3339 time at which the kubelet first saw the pod. */
  readonly seenAt: string;
  /** Handler of the pod's RuntimeClass; empty for the default one. */
  readonly runtimeHandler: string;
  readonly hostNetwork: boolean;
  readonly hostname: string;
  readonly dnsPolicy: 'ClusterFirst' | 'Default' | 'None';
  readonly dns: { readonly servers: readonly string[]; readonly searches: readonly string[]; readonly options: readonly string[] };
  readonly terminationGracePeriodSeconds: number;
  readonly automountServiceAccountToken: boolean;
  readonly overhead: Amounts;
  readonly containers: readonly PodContainer[];
}
