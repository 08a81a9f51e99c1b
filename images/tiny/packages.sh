#!/bin/bash
# Prints what the tiny image is made of, one "FROM NAME VERSION" a line: FROM is "deb" for a Debian package that is
# downloaded, "host" for an installed one whose files are copied. Fetches apt's lists if there are none.
set -euo pipefail
export LC_ALL=C

kernel() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p'; }

if [ -z "$(kernel)" ]; then
  echo "tiny: fetching apt's lists" >&2
  apt-get update -q >/dev/null
fi

# The agent, a netcat that knows UDP, and the libraries that they depend on. apt prints a package, then its dependencies, indented.
programs=$(apt-cache depends --recurse --important qemu-guest-agent netcat-openbsd | awk '
  /^[a-z]/ { from = $1 }
  /Depends: [a-z]/ { edges[from] = edges[from] " " $2 }
  function take(name,   i, n, next_names) {
    if (name in taken) return
    taken[name] = 1
    print name
    n = split(edges[name], next_names, " ")
    for (i = 1; i <= n; i++) if (next_names[i] ~ /^(lib|zlib)/) take(next_names[i])
  }
  END { take("qemu-guest-agent"); take("netcat-openbsd") }')

# shellcheck disable=SC2046,SC2086 # the lists are split on purpose
apt-cache policy $(kernel) $programs | awk '/^[a-z]/ { name = $1; sub(/:$/, "", name) } /^  Candidate:/ { print "deb", name, $2 }' | sort
dpkg-query -W -f 'host ${Package} ${Version}\n' busybox-static syslinux syslinux-common | sort
