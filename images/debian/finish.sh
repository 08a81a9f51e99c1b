#!/bin/bash
# finish.sh ROOT: makes an installed system an image: services on and off, and nothing in it that must differ between
# machines. mmdebstrap runs it.
set -euo pipefail
root=$1

chroot "$root" systemctl --quiet enable systemd-networkd systemd-resolved ssh serial-getty@ttyS0
# Of no use in a machine that is tested for minutes, and each of them is seconds under emulation.
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  e2scrub_reap.service fstrim.timer getty@tty1.service systemd-pstore.service

rm -f "$root"/etc/ssh/ssh_host_*
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id"
rm -rf "$root"/var/lib/cloud/* "$root"/var/log/*.log "$root"/var/log/apt
rm -f "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb
rm -f "$root/etc/hostname" # cloud-init writes it
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
# /usr is as new as /etc and /var: no run of systemd's "system updated" services at the first boot.
touch "$root/etc/.updated" "$root/var/.updated"
