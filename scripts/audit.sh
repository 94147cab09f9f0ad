#!/bin/sh
# Looks for known vulnerabilities in what forgo depends on: scripts/audit.sh go|python
# The tools ask a database in the network. Where that does not answer for everything the script says
# NOT CHECKED, with exit code 3; 1 is a finding.
set -eu
cd "$(dirname "$0")/.."
# Their own dependencies would outnumber the project's, so they are not in go.tool.mod and uv.lock.
govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.9.0
pip_audit=pip-audit==2.10.1

out=$(mktemp)
trap 'rm -f "$out"' EXIT

# Runs a tool: run DATABASE WHAT COMMAND...
run() {
  database=$1 what=$2
  shift 2
  code=0
  "$@" >"$out" 2>&1 || code=$?
  # pip-audit ends with 0 where its database does not know a package.
  if unknown=$(grep -c 'could not be audited' "$out"); then
    echo "audit: NOT CHECKED: $what: $database knows nothing of $unknown of them" >&2
    exit 3
  fi
  if grep -qE 'fetching vulnerabilities: |Failed to (connect|resolve)|ConnectionError|ServiceError' "$out"; then
    tail -n 3 "$out" >&2
    echo "audit: NOT CHECKED: $what: $database cannot be reached from here" >&2
    exit 3
  fi
  cat "$out"
  [ $code = 0 ] || { echo "audit: $what: the findings are above" >&2; exit 1; }
  echo "audit: $what: no known vulnerability" >&2
}

case ${1:-} in
  go)
    tags=$(scripts/go.sh tags)
    run https://vuln.go.dev "the Go module" go run "$govulncheck" -tags "$tags" ./...
    ;;
  python)
    uv=build/uv/bin/uv
    if command -v uv >/dev/null 2>&1; then uv=uv; fi
    export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1
    requirements=$(mktemp)
    trap 'rm -f "$out" "$requirements"' EXIT
    "$uv" export --quiet --frozen --all-extras --no-dev --no-emit-project >"$requirements"
    run https://pypi.org "the Python packages" \
      "$uv" tool run --quiet --from "$pip_audit" pip-audit --progress-spinner off --disable-pip --require-hashes -r "$requirements"
    ;;
  *) echo "usage: scripts/audit.sh go|python" >&2; exit 2 ;;
esac
