/** Where vmlet's own libvirtd lives. */
export interface LibvirtdPlaces {
  /** What survives a reboot: configuration, libvirt's state, cache and logs. */
  readonly stateDir: string;
  /** What need not: socket and pid files. */
  readonly runDir: string;
}

/** libvirt's directories by their usual names, and what lies there instead in libvirtd's own mount namespace. */
export function boundDirectories({ stateDir, runDir }: LibvirtdPlaces): readonly (readonly [usual: string, own: string])[] {
  return [
    ['/etc/libvirt', `${stateDir}/etc`],
    ['/var/lib/libvirt', `${stateDir}/lib`],
    ['/var/cache/libvirt', `${stateDir}/cache`],
    ['/var/log/libvirt', `${stateDir}/log`],
    ['/run/libvirt', runDir],
  ];
}

/** libvirtd's configuration file; by this path, which no other libvirtd has, its process is known. */
export function libvirtdConfFile({ stateDir }: LibvirtdPlaces): string {
  return `${stateDir}/etc/libvirtd.conf`;
}

/** libvirtd's pid file, which it keeps locked while it runs. */
export function libvirtdPidFile({ runDir }: LibvirtdPlaces): string {
  return `${runDir}/libvirtd.pid`;
}

/** libvirtd.conf: root alone gets in, and more than the usual five requests are served at a time on a connection. */
export const libvirtdConf = settings({
  auth_unix_ro: '"none"',
  auth_unix_rw: '"none"',
  unix_sock_ro_perms: '"0700"',
  unix_sock_rw_perms: '"0700"',
  max_client_requests: '100',
  max_workers: '40',
  prio_workers: '10',
  keepalive_interval: '5',
  keepalive_count: '5',
  log_outputs: '"3:stderr"',
});

/**
 * qemu.conf: no cgroups of libvirt's own (vmlet puts QEMU into the pod's), no virtlogd, owners of files set at start and not given back,
 * QEMU's system calls filtered. Mount namespaces and the host's AppArmor or SELinux stay on, as they are by default.
 */
export const qemuConf = settings({
  cgroup_controllers: '[ ]',
  stdio_handler: '"file"',
  dynamic_ownership: '1',
  remember_owner: '0',
  seccomp_sandbox: '1',
  max_core: '0',
});

/**
 * A shell program that becomes libvirtd in a mount namespace of its own: `$1` is its configuration, `$2` its pid file, then come pairs of
 * a usual directory and its own. Where QEMU's group cannot open /dev/kvm, libvirt would probe QEMU anew at each call (it takes the failure
 * for a change): the namespace then has a device node as distributions make it, on a file system at `$KVM_DIR`.
 */
export const libvirtdProgram = `
set -e
conf=$1 pid_file=$2
shift 2
while [ $# -gt 0 ]; do
  mkdir -p "$1"
  mount --bind "$2" "$1"
  shift 2
done
if [ -e /dev/kvm ] && [ "$(stat -c %G /dev/kvm)" != kvm ]; then
  mount -t tmpfs -o size=64k,mode=0755 tmpfs "$KVM_DIR"
  mknod -m 0660 "$KVM_DIR/kvm" c 10 232
  chgrp kvm "$KVM_DIR/kvm"
  mount --bind "$KVM_DIR/kvm" /dev/kvm
fi
exec libvirtd --config "$conf" --pid-file "$pid_file"
`;

function settings(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key} = ${value}\n`)
    .join('');
}
