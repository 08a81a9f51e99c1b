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

# shellcheck disable=SC2086 # the list is split on purpose
sh scripts/install-packages.sh setup $packages

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
