#!/bin/bash
# build.sh PACKAGES DOWNLOADS OUT: builds the Debian image OUT (qcow2) from the packages listed in the file PACKAGES (see
# packages.sh). Packages are kept in the directory DOWNLOADS. Nothing is mounted and no loop device is used; run it as root.
set -euo pipefail
packages=$(realpath "$1") downloads=$(realpath "$2") out=$(realpath -m "$3")
cd "$(dirname "$0")"
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' INT TERM
chmod 755 "$work" # mmdebstrap asks that every user can reach it

step() { echo "debian: $*"; }
# What a program says is told only when it fails.
quietly() { "$@" >"$work/said" 2>&1 || { tail -n 40 "$work/said" >&2 && return 1; }; }

step "packages"
repository=$work/repository
../download.sh "$packages" "$downloads" "$repository" | sed 's/^/debian: /'

# A repository of exactly these packages, so that what is installed is what the list says.
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
(
  cd "$repository"
  for deb in *.deb; do
    dpkg-deb -f "$deb"
    echo "Filename: ./$deb"
    echo "Size: $(stat -L -c %s "$deb")"
    echo "SHA256: $(sha256sum "$deb" | cut -d' ' -f1)"
    echo
  done >Packages
  echo "Suite: $suite"
  echo "Codename: $suite"
  echo "SHA256:"
  echo " $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) Packages"
) >"$work/Release"
mv "$work/Release" "$repository/Release"

step "installing $(grep -c '^deb ' "$packages") packages (about a minute)"
root=$work/root
names=$(sed 's/#.*//' wanted | xargs | tr ' ' ,)
quietly mmdebstrap --mode=root --variant=essential --format=directory --architectures=amd64 --include="$names" \
  --aptopt='APT::Install-Recommends "false"' --skip=chroot/mount --hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr \
  --setup-hook="cp -r --no-preserve=ownership root/. \"\$1/\"" --customize-hook=./finish.sh \
  "$suite" "$root" "deb [trusted=yes] copy:$repository ./"

# A guest asks where this machine asks, of Debian's own archives alone.
apt-get indextargets --format '$(ORIGIN) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Architecture: amd64' |
  sed -n 's/^Debian deb /deb /p' | sort -u >"$root/etc/apt/sources.list"

# In sectors of 512 bytes: the table and GRUB's core before the one partition, which fills the disk. It is sparse.
step "disk"
first=2048 total=$((3 * 2048 * 1024))
disk=$work/disk.raw
truncate -s $((total * 512)) "$disk"
sfdisk -q --no-reread --no-tell-kernel "$disk" <<END
label: dos
start=$first, type=83, bootable
END
# GRUB by hand: its first sector loads the core from the sectors behind it, which is where grub-mkimage says it is.
grub-mkimage -O i386-pc -o "$work/core.img" -c grub-core.cfg -p /boot/grub biosdisk part_msdos ext2 search search_label normal configfile linux
[ "$(stat -c %s "$work/core.img")" -lt $(((first - 1) * 512)) ]
dd if=/usr/lib/grub/i386-pc/boot.img of="$disk" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$disk" bs=512 seek=1 conv=notrunc status=none
install -D -m 644 grub.cfg "$root/boot/grub/grub.cfg"
# Features of newer e2fsprogs that the release's GRUB may not read are off.
quietly mke2fs -F -t ext4 -O ^metadata_csum_seed -m 1 -L debian-root -E "offset=$((first * 512))" -d "$root" "$disk" "$(((total - first) / 2))k"

step "compressing"
qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd "$disk" "$out.new"
mv "$out.new" "$out"
