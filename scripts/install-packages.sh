#!/bin/sh
# install-packages.sh WHO PACKAGE...: installs those Debian packages that are missing, saying so in one line that begins with WHO.
set -eu
who=$1
shift
missing=""
installed=" $(dpkg-query -W -f '${db:Status-Abbrev}${Package} ' "$@" 2>/dev/null || true)"
for package in "$@"; do
  case "$installed" in *" ii $package "*) ;; *) missing="$missing $package" ;; esac
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "$who: these packages are missing, run as root: apt-get install$missing" >&2
  exit 1
fi
echo "$who: installing Debian packages:$missing"
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
# shellcheck disable=SC2086 # the list is split on purpose
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends $missing >/dev/null
case " $missing " in
  *" docker-registry "*)
    if [ -d /run/systemd/system ] && ! systemctl --quiet disable docker-registry; then
      echo "$who: docker-registry.service starts at the next boot: systemctl disable docker-registry" >&2
    fi
    ;;
esac
