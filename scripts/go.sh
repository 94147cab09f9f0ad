#!/bin/sh
# The one place that knows how forgo's Go is built. It needs no C compiler. Where there is one, and libjpeg-turbo's
# static library, the tag turbojpeg links that for processors without AVX2: the same pixels, sooner.
#   scripts/go.sh build -o OUT ./cmd/forgo    |  scripts/go.sh test ./...  |  scripts/go.sh tags
# What it builds is position-independent, so that the system can load it at an address of its choice, unless the tag
# static says that it must run without a loader.
# FORGO_GO_TAGS overrides the probe (with an empty value Go decodes JPEG itself, everywhere).
set -eu
if [ "${FORGO_GO_TAGS+set}" != set ]; then
  FORGO_GO_TAGS=
  probe=$(mktemp -d)
  trap 'rm -rf "$probe"' EXIT
  cat >"$probe/p.c" <<'C'
#include <turbojpeg.h>
int main(void) { return tjInitDecompress() == 0; }
C
  case $(uname -s) in
    Darwin) flags=$(pkg-config --cflags --libs libturbojpeg 2>/dev/null || echo none) ;;
    *) flags="-l:libturbojpeg.a -lm" ;;
  esac
  if [ "$flags" != none ] && "${CC:-cc}" -o "$probe/p" "$probe/p.c" $flags 2>/dev/null; then
    FORGO_GO_TAGS=turbojpeg
  fi
fi
verb=$1
shift
case $verb in
  tags) echo "$FORGO_GO_TAGS"; exit ;;
  build)
    # A position-independent program needs the system's loader, and a static one must need nothing.
    case " $FORGO_GO_TAGS " in *static*) mode=exe ;; *) mode=pie ;; esac
    set -- -trimpath -buildmode=$mode -ldflags=-s "$@"
    ;;
esac
# cgo is for libjpeg-turbo alone, and for sanitizers. CGO_ENABLED overrides that.
case " $FORGO_GO_TAGS $* " in
  *turbojpeg* | *" -race "* | *" -asan "*) needs=1 ;;
  *) needs=0 ;;
esac
export CGO_ENABLED="${CGO_ENABLED:-$needs}"
# -buildvcs=false: the build must not depend on git, and the version is in the VERSION file.
go "$verb" -buildvcs=false -tags "$FORGO_GO_TAGS" "$@"
