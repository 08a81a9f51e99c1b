#!/bin/bash
# build.sh PACKAGES DOWNLOADS OUT: builds the tiny image OUT (qcow2) from the packages listed in the file PACKAGES (see
# packages.sh). Packages are kept in the directory DOWNLOADS. Uses no mounts and no loop devices; run it as root, or
# under fakeroot, so that the guest's files belong to root.
set -euo pipefail
packages=$(realpath "$1") downloads=$(realpath "$2") out=$(realpath -m "$3")
cd "$(dirname "$0")"
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C MTOOLS_SKIP_CHECK=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' INT TERM

step() { echo "tiny: $*"; }

step "packages"
debs=$work/debs unpacked=$work/unpacked
mkdir "$unpacked"
../download.sh "$packages" "$downloads" "$debs" | sed 's/^/tiny: /'
# Packages name their files with and without /usr: here all of them land under /usr, as on an installed system.
for dir in bin lib lib64 sbin; do mkdir -p "$unpacked/usr/$dir" && ln -s "usr/$dir" "$unpacked/$dir"; done
for deb in "$debs"/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$unpacked" --keep-directory-symlink --exclude='./usr/share'
done
version=$(cd "$unpacked/boot" && ls -d vmlinuz-*)
version=${version#vmlinuz-}

step "initramfs"
initramfs=$work/initramfs
mkdir -p "$initramfs"/{bin,dev,proc,sys,root}
cp initramfs/modules "$initramfs/modules"
install -m 755 initramfs/init "$initramfs/init"
busybox_into() {
  cp /bin/busybox "$1/busybox"
  for applet in $(busybox --list); do [ -e "$1/$applet" ] || ln -s busybox "$1/$applet"; done
}
busybox_into "$initramfs/bin"
depmod -b "$unpacked" "$version"
while read -r module; do
  modprobe -d "$unpacked" -S "$version" --ignore-install --show-depends "$module"
done <initramfs/modules | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r file; do
  to=$initramfs/${file#"$unpacked"/}
  mkdir -p "${to%/*}"
  case $file in *.xz) busybox unxz -c "$file" >"${to%.xz}" ;; *) cp "$file" "$to" ;; esac
done
cp "$unpacked/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$initramfs/lib/modules/$version/"
depmod -b "$initramfs" "$version"
rm -f "$initramfs/lib/modules/$version"/modules.{*.bin,order,builtin*}
# Stored, not compressed: the qcow2 is.
(cd "$initramfs" && find . | sort | cpio -o -H newc -R 0:0 --quiet) >"$work/initrd.img"

step "root file system"
root=$work/root
cp -r root "$root"
mkdir -p "$root"/{dev,proc,sys,run,tmp,mnt,root,lib64}
chmod 755 "$root"/{bin/shutdown,etc/rc,etc/udhcpc,etc/acpi/PWRF/00000080,var/www/cgi-bin/{info,net}}
for dir in sbin usr/bin usr/sbin; do mkdir -p "$root/$(dirname $dir)" && ln -s /bin "$root/$dir"; done
ln -s /run "$root/var/run"
ln -s /run/seed "$root/var/www/seed"
: >"$root/etc/resolv.conf"
printf 'ID=tiny\nNAME="Tiny guest"\nVERSION_ID="%s"\n' "$version" >"$root/etc/os-release"
busybox_into "$root/bin"
install -m 755 "$unpacked/usr/sbin/qemu-ga" "$unpacked/usr/bin/nc.openbsd" "$root/bin/"
loader=lib64/ld-linux-x86-64.so.2 libraries=lib/x86_64-linux-gnu
cp -L "$unpacked/$loader" "$root/$loader"
mkdir -p "$root/$libraries"
for program in qemu-ga nc.openbsd; do
  "$unpacked/$libraries/ld-linux-x86-64.so.2" --library-path "$unpacked/$libraries" --list "$root/bin/$program"
done | awk -v from="$unpacked" 'index($3, from) == 1 { print $3 }' | sort -u | while read -r library; do
  cp -L "$library" "$root/$libraries/"
done

# In MiB: the partition table, the boot loader's FAT partition, the root partition.
step "disk"
table=1 boot=32 rest=95
disk=$work/disk.raw
truncate -s $((table + boot + rest))M "$disk"
sfdisk -q --no-reread --no-tell-kernel "$disk" <<END
label: dos
start=${table}MiB, size=${boot}MiB, type=6, bootable
start=$((table + boot))MiB, size=${rest}MiB, type=83
END
dd if=/usr/lib/SYSLINUX/mbr.bin of="$disk" bs=440 count=1 conv=notrunc status=none
mkfs.vfat -F 16 -h $((table * 2048)) -C "$work/boot.img" $((boot * 1024)) >/dev/null
mcopy -i "$work/boot.img" syslinux.cfg "$work/initrd.img" ::/
mcopy -i "$work/boot.img" "$unpacked/boot/vmlinuz-$version" ::/vmlinuz
syslinux --install "$work/boot.img"
truncate -s ${rest}M "$work/root.img"
mke2fs -q -t ext4 -O ^has_journal -m 0 -L tiny-root -E root_owner=0:0 -d "$root" "$work/root.img"
dd if="$work/boot.img" of="$disk" bs=1M seek=$table conv=notrunc,sparse status=none
dd if="$work/root.img" of="$disk" bs=1M seek=$((table + boot)) conv=notrunc,sparse status=none

step "compressing"
qemu-img convert -f raw -O qcow2 -c "$disk" "$out.new"
mv "$out.new" "$out"
