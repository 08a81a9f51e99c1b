#!/bin/sh
# Every silenced check states its reason on the same line, after " -- ".
set -eu
cd "$(dirname "$0")/.."
if grep -rnE '(oxlint-disable|@ts-(expect-error|ignore))' --include=*.ts src test scripts images | grep -v 'gen/' | grep -v -- ' -- '; then
  echo "the lines above silence a check without saying why" >&2
  exit 1
fi
