import { z } from 'zod';
import { imagesSchema } from './images.ts';
import { bytes, durationMs, listenAddress, path, socketPath } from './values.ts';

/**
 * Every key of vmlet's configuration: type, check, default and description in one place. The file, drop-ins, environment, flags and
 * the generated page docs/configuration.md all come from it. Unknown keys are errors.
 */
export const configSchema = z.strictObject({
  socket: socketPath.default('/run/vmlet/vmlet.sock').describe('unix socket on which the CRI is served'),
  runtimeDir: path.default('/run/vmlet').describe('what need not survive a reboot: sockets, pid files, DHCP leases'),
  stateDir: path.default('/var/lib/vmlet').describe('what must survive a reboot: records, images, root disks'),
  logLevel: z
    .enum(['error', 'warn', 'info', 'debug'])
    .default('info')
    .describe('least severe level that is logged, as JSON lines on stderr'),
  cgroupDriver: z.enum(['auto', 'cgroupfs', 'systemd']).default('auto').describe('what RuntimeConfig answers; must equal the kubelet’s'),
  domainType: z
    .enum(['auto', 'kvm', 'qemu'])
    .default('auto')
    .describe('auto proves KVM with a boot sector and falls back to emulation; kvm fails instead; qemu always emulates'),
  libvirt: z
    .strictObject({
      socket: path.optional().describe('socket of a libvirtd that somebody else runs; default: vmlet starts its own'),
      runDir: path.optional().describe('that libvirtd’s run directory, where the pid files are (<runDir>/qemu/NAME.pid)'),
    })
    .refine((value) => (value.socket === undefined) === (value.runDir === undefined), 'socket and runDir must be given together')
    .prefault({}),
  vm: z
    .strictObject({
      defaultCpus: z.int().min(1).max(128).default(1).describe('vCPUs of a VM without a CPU limit'),
      maxCpus: z.int().min(1).max(512).default(64).describe('most vCPUs that a pod may ask for'),
      defaultMemory: bytes.default(512 * 2 ** 20).describe('guest memory of a VM without a memory limit'),
      minMemory: bytes.default(16 * 2 ** 20).describe('least guest memory; a pod that leaves less is refused'),
      overhead: z
        .union([z.literal('auto'), bytes])
        .default('auto')
        .describe(
          'memory that QEMU needs beside the guest’s; what the pod’s overhead does not cover is taken from its limit. auto: 96Mi and 32Mi for' +
            ' each vCPU after the first, with KVM 64Mi and 8Mi, and a 512th of the limit for page tables; a number is for every VM',
        ),
      firstUid: z.int().min(1000).max(2_000_000_000).default(1_500_000_000).describe('first of the uids that VMs run as, one each'),
      uidCount: z.int().min(1).max(100_000).default(4096).describe('how many of these uids there are'),
      shutdownRepeat: durationMs.default(5_000).describe('how often the guest is asked again to shut down within the grace period'),
    })
    .prefault({}),
  images: imagesSchema,
  cni: z
    .strictObject({
      confDir: path.default('/etc/cni/net.d').describe('CNI configuration: the first file by name counts'),
      binDirs: z.array(path).min(1).default(['/opt/cni/bin', '/usr/lib/cni']).describe('where plugins are looked for'),
      timeout: durationMs.default(60_000).describe('longest run of one plugin'),
      cacheDir: path
        .optional()
        .describe(
          'where results are cached, as libcni lays them out; absent: cni in stateDir. Not where another runtime has its own, whose GC would take vmlet’s addresses',
        ),
      otherCacheDirs: z
        .array(path)
        .default(['/var/lib/cni'])
        .describe('caches of the node’s other runtimes: read before GC, so that the addresses of their pods stay'),
    })
    .prefault({}),
  network: z
    .strictObject({
      antiSpoofing: z
        .boolean()
        .default(true)
        .describe(
          'drops what a guest sends with a MAC or IP address that is not the pod’s; a change counts for running VMs too once the daemon has started again',
        ),
    })
    .prefault({}),
  console: z
    .strictObject({
      maxBacklog: bytes
        .default(256 * 2 ** 20)
        .describe('console output that may wait to be logged; more is cut, and the log says how much'),
    })
    .prefault({}),
  metrics: z
    .strictObject({
      listen: listenAddress
        .default('127.0.0.1:9471')
        .describe('IP address and port of Prometheus metrics, /healthz and /readyz over HTTP, without authentication; off: not served'),
    })
    .prefault({}),
});

/** The configuration after defaults: no key is optional that has a default. Bytes and milliseconds are numbers. */
export type Config = z.output<typeof configSchema>;
