/** How pod networks are made. */
export interface NetworkOptions {
  /** Directory of the namespaces' names, `/run/netns`; made a shared mount if it is none, as `ip netns` does. */
  readonly netnsDir: string;
  /** Directory of the attachments' records; made 0700. */
  readonly stateDir: string;
  /** Directory of the DHCP servers' files, lost with a reboot; made 0700. */
  readonly runtimeDir: string;
  /** Drops frames of guests whose MAC, IP, ARP or NDP sender is not theirs; `recover` has it hold for running VMs; default true. */
  readonly antiSpoofing?: boolean;
  /** Where the kernel shows its devices, and how long one may take to come back from a VM, for SR-IOV. */
  readonly sriov?: {
    /** Mounted in the node's network namespace; default `/sys`. */
    readonly sysfsDir?: string;
    /** Default `/dev/vfio`. */
    readonly vfioDir?: string;
    /** Milliseconds; default 10 000. */
    readonly waitMs?: number;
  };
  /** How often it is seen whether DHCP servers of running VMs are alive, milliseconds; default 1 000. */
  readonly dhcpWatchMs?: number;
  /** How long a start of the daemon waits for networks to be released, milliseconds; default 15 000. */
  readonly releasePatienceMs?: number;
  readonly cni: {
    /** Where the node's network configuration is, `/etc/cni/net.d`. */
    readonly confDir: string;
    /** Where plugins are looked for, in order. */
    readonly binDirs: readonly string[];
    /** Longest run of one plugin, milliseconds; it is then killed. */
    readonly timeoutMs: number;
    /** Where results are cached; made when there is one. */
    readonly cacheDir: string;
    /** Caches of the node's other runtimes, for GC; those that are not there are fine. Default none. */
    readonly otherCacheDirs?: readonly string[];
    /** Pause between looks at what no watch reports, and between questions for STATUS, milliseconds; default 5 000. */
    readonly pollMs?: number;
    /** Pause before a network that could not be released is tried again, milliseconds; it doubles, to five minutes. Default 5 000. */
    readonly retryMs?: number;
  };
}
