#!/bin/bash
# download.sh PACKAGES DOWNLOADS DEBS: fills the new directory DEBS with a link for each "deb NAME VERSION" line of the file
# PACKAGES. What is not yet in the directory DOWNLOADS is downloaded into it with apt, which checks it.
set -euo pipefail
packages=$(realpath "$1") downloads=$(realpath "$2") debs=$3
mkdir "$debs"
wanted=() missing=()
while read -r from name version; do
  [ "$from" = deb ] || continue
  file=$(compgen -G "$downloads/${name}_${version//:/%3a}_*.deb") || missing+=("$name=$version")
  wanted+=("${name}_${version//:/%3a}")
done <"$packages"
if [ ${#missing[@]} != 0 ]; then
  echo "downloading ${#missing[@]} packages"
  fresh=$(mktemp -d "$downloads/new.XXXXXX")
  trap 'rm -rf "$fresh"' EXIT
  (cd "$fresh" && apt-get -q -o APT::Sandbox::User=root download "${missing[@]}" >/dev/null)
  mv "$fresh"/*.deb "$downloads/"
fi
for file in "${wanted[@]}"; do ln -s "$downloads/$file"_*.deb "$debs/"; done
