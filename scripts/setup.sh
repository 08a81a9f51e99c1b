#!/bin/sh
# Installs what is missing (Debian packages, npm packages), says so in one line each, and does nothing when all is there.
# Runs on a plain Debian 12 or 13 machine with sh, git, npm and any Node >= 20.
set -eu
cd "$(dirname "$0")/.."

# What vmlet and its tests run: the hypervisor, the network's programs, and what the guest images are built with.
packages="libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils seabios
containernetworking-plugins iproute2 iptables nftables dnsmasq-base util-linux procps
genisoimage e2fsprogs fdisk mtools dosfstools syslinux syslinux-common kmod cpio busybox-static binutils ca-certificates curl xz-utils
docker-registry openssl"

missing=""
# shellcheck disable=SC2086 # the list is split on purpose
installed=" $(dpkg-query -W -f '${db:Status-Abbrev}${Package} ' $packages 2>/dev/null || true)"
for package in $packages; do
  case "$installed" in *" ii $package "*) ;; *) missing="$missing $package" ;; esac
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "setup: these packages are missing, run as root: apt-get install$missing" >&2
    exit 1
  fi
  echo "setup: installing Debian packages:$missing"
  apt-get update -q >/dev/null
  # A service that the packages would start is not wanted: vmlet runs its own libvirtd, and Debian's registry listens on all addresses.
  # Under systemd only the answer of policy-rc.d counts (invoke-rc.d(8)); one that is there already is the administrator's.
  policy=/usr/sbin/policy-rc.d
  if [ -e $policy ]; then
    policy=""
  else
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
  fi
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends $missing >/dev/null
  if [ -n "$policy" ]; then rm -f $policy; fi
  case " $missing " in
    *" docker-registry "*)
      if [ -d /run/systemd/system ] && ! systemctl --quiet disable docker-registry; then
        echo "setup: docker-registry.service starts at the next boot: systemctl disable docker-registry" >&2
      fi
      ;;
  esac
fi

stamp=node_modules/.setup-done
want=$(sha256sum package-lock.json | cut -d" " -f1)-$(uname -m)
if [ "$(cat $stamp 2>/dev/null)" != "$want" ] || ! [ -x node_modules/.bin/node ]; then
  echo "setup: installing npm packages (npm ci)"
  npm ci --loglevel=error --no-progress
  if ! node_modules/.bin/node -e 'process.exit(process.version.startsWith("v24.") ? 0 : 1)'; then
    echo "setup: Node 24 was not installed; npm's optional dependencies must not be omitted" >&2
    exit 1
  fi
  echo "$want" >$stamp
fi
