#!/bin/bash
# Prints what the Debian image is made of, one "FROM NAME VERSION" a line: FROM is "deb" for a package that is in the
# image, "host" for an installed one that builds it. Packages are those of this machine's own Debian release, from
# Debian alone. Fetches apt's lists if there are none.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

debian_sources() {
  apt-get indextargets --format '$(ORIGIN) $(COMPONENT) deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 'Architecture: amd64' | sed -n 's/^Debian main //p'
}
if ! apt-cache show base-files >/dev/null 2>&1 || [ -z "$(debian_sources)" ]; then
  echo "debian: fetching apt's lists" >&2
  apt-get update -q >/dev/null
fi

# What apt would install on a machine that has nothing, with the lists that this machine has.
debian_sources >"$work/sources.list"
: >"$work/status"
# shellcheck disable=SC2046 # a list of names
apt-get install --simulate -q --no-install-recommends -o Dir::State::status="$work/status" \
  -o Dir::State::extended_states="$work/extended" -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
  '?essential' $(sed 's/#.*//' wanted) >"$work/plan"
sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/deb \1 \2/p' "$work/plan" | sort
dpkg-query -W -f 'host ${Package} ${Version}\n' e2fsprogs grub-common grub-pc-bin mmdebstrap | sort
