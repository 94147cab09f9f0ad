#!/bin/sh
# Installs Debian packages quietly, as root or with sudo: scripts/apt.sh PACKAGE...
# It fails where that cannot be done.
set -eu
command -v apt-get >/dev/null 2>&1 || { echo "apt: this system has no apt-get" >&2; exit 1; }
if [ "$(id -u)" = 0 ]; then sudo=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then sudo=sudo
else echo "apt: neither root nor sudo without a password" >&2; exit 1
fi
# Tests run side by side, and apt-get refuses where another one runs.
if command -v flock >/dev/null 2>&1; then
  exec 9>"${TMPDIR:-/tmp}/forgo-apt.lock"
  flock 9
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if $sudo env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update && apt-get install -y --no-install-recommends "$@"' apt "$@" >"$log" 2>&1; then
  echo "apt: installed $*" >&2
else
  tail -n 3 "$log" >&2
  exit 1
fi
