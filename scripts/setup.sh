#!/bin/sh
# Installs what the project needs, into the checkout where possible: uv (build/uv), the Python
# environment (.venv), and, on Debian or Ubuntu with root or sudo, the system packages.
set -eu
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

command -v python3 >/dev/null 2>&1 || die "Python 3.11 or newer is missing: there is no python3"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed; python3 is $(python3 --version)"
command -v go >/dev/null 2>&1 || die "Go 1.26 or newer is missing: see https://go.dev/dl"
if [ "$(scripts/go.sh tags)" != turbojpeg ]; then
  scripts/apt.sh gcc libc6-dev libturbojpeg0-dev || say "a C compiler or libjpeg-turbo is missing (Debian: gcc, libturbojpeg0-dev; macOS: brew install jpeg-turbo)." \
    "Go decodes JPEG itself then: the same pixels, more slowly"
fi

uv=build/uv/bin/uv
if command -v uv >/dev/null 2>&1; then
  uv=$(command -v uv)
elif [ ! -x $uv ]; then
  python3 -m venv build/uv 2>/dev/null || { scripts/apt.sh python3-venv && python3 -m venv build/uv; } || die "python3 -m venv does not work: install python3-venv"
  build/uv/bin/pip install --quiet --disable-pip-version-check "uv==0.13.9"
fi
# Machines behind a proxy of their own trust what the system trusts (the name changed over time).
export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1
# Users get tensorflow; here it makes way for tensorflow-cpu, of the same version and half the size.
[ "$(uname -sm)" = "Linux x86_64" ] && skip="--no-install-package tensorflow" || skip=
$uv sync --quiet --frozen --extra keras $skip --no-python-downloads
touch .venv/ready
