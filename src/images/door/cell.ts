import { dirname } from 'node:path';

/** What a cell allows. */
export interface CellOptions {
  /** Whom the program runs as; without any other group and without capabilities. */
  readonly user: { readonly uid: number; readonly gid: number };
  /** Longest file that it may write, bytes; default 0: none. */
  readonly writtenBytes?: number;
  /** CPU time that it may use, whole seconds; default 20. */
  readonly cpuSeconds?: number;
  /** Address space that it may have, bytes; default 1 GiB. */
  readonly memoryBytes?: number;
}

/** Exit status of a cell that could not be built; the program was not run. As chroot(1) and others have it. */
export const cellFailed = 125;

/** Address space of a program in a cell where nothing else is said, bytes. */
export const cellMemoryBytes = 2 ** 30;

/**
 * Builds the root that the program finds: a small tmpfs over /sys, which exists on every machine and is of no use here, with the programs and
 * libraries of the host read-only, a process list that begins with itself, /dev/null (QEMU probes file locks on it), and nothing else: no /etc,
 * /var, /run, /home, /dev, /sys, no process of the host. The shell stays as the namespace's first process, so that the program's own signals
 * are deadly as usual (the kernel spares the first one); it ends as the program did.
 */
const script = `set -eu
trap 'exit ${cellFailed}' EXIT
own=$1 limits=$2 drop=$3
shift 3
root=/sys
mount -t tmpfs -o size=1m,nr_inodes=64,mode=755,nosuid,noexec cell $root
links=
for dir in /usr /bin /sbin /lib /lib32 /lib64 /libx32 "$own"; do
  if [ -L "$dir" ]; then links="$links $dir"
  elif [ "$dir" ] && [ -d "$dir" ]; then
    mkdir -p "$root$dir"
    mount -o bind,ro,nosuid,nodev "$dir" "$root$dir"
  fi
done
mkdir $root/proc $root/dev $root/etc
if [ "$links" ]; then cp -P $links $root/; fi
if [ -e /etc/ld.so.cache ]; then cp /etc/ld.so.cache $root/etc/; fi
: >$root/dev/null
mount --bind /dev/null $root/dev/null
mount -t proc -o nosuid,nodev,noexec,subset=pid proc $root/proc
mount -o remount,ro,nosuid,noexec,size=1m,nr_inodes=64,mode=755 $root
trap - EXIT
set +e
prlimit $limits -- chroot $root setpriv $drop -- "$@"
exit $?`;

/**
 * The command that runs another in a cell: network, mount, process, IPC and host name namespaces of its own, a root with nothing but programs
 * and libraries (and the directory of a program that is named by an absolute path), under limits (prlimit(1): address space, CPU time,
 * size of written files, 64 open files, no core), as an unprivileged user who cannot gain privileges. When the command is killed, so is all that
 * runs in the cell. Exit status 128 + n stands for death by signal n. Costs about 15 ms. There is no limit on the number of processes: the
 * kernel counts them by user, and others run as nobody too. Needs root.
 */
export function inCell(command: readonly string[], options: CellOptions): readonly [string, ...string[]] {
  const { user, writtenBytes = 0, cpuSeconds = 20, memoryBytes = cellMemoryBytes } = options;
  const limits = [`--as=${memoryBytes}`, `--cpu=${cpuSeconds}`, `--fsize=${writtenBytes}`, '--nofile=64', '--core=0'];
  const drop = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all'];
  const namespaces = ['--net', '--mount', '--ipc', '--uts', '--pid', '--fork', '--kill-child'];
  const own = ownDirectory(command[0] ?? '');
  return ['unshare', ...namespaces, '--', 'sh', '-c', script, 'cell', own, limits.join(' '), drop.join(' '), ...command];
}

/** Where the program lies if it is none of the system's; `''` if it is. */
function ownDirectory(program: string): string {
  const dir = program.startsWith('/') ? dirname(program) : '';
  const isSystems = /^\/(usr|bin|sbin|lib\w*|proc|sys|dev|etc)?($|\/)/.test(dir);
  return isSystems ? '' : dir;
}
