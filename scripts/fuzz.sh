#!/bin/sh
# Runs every fuzz target of the Go tests, or those whose name matches FUZZ, for FUZZTIME (5m), one
# after another. An input that fails is left in its package's testdata/fuzz. Inputs that reach new code
# go into testdata/corpus/TARGET.zip, with which a fresh clone begins and which every test run sends.
#   scripts/fuzz.sh [-parallel=N ...]      further flags are go test's
set -eu
cd "$(dirname "$0")/.."
module=$(go list -m)
cache=$(go env GOCACHE)/fuzz
failed=
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for folder in $(grep -rl --include='*_test.go' '^func Fuzz' client cmd internal predict serve | xargs -n 1 dirname | sort -u); do
  for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$folder"/*_test.go); do
    echo "$target" | grep -Eq "${FUZZ:-.}" || continue
    echo "$folder $target"
    # Minimizing may take a minute an input, for inputs that are small enough as they are.
    scripts/go.sh test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-5m}" -fuzzminimizetime 10x -timeout 0 "$@" "./$folder" >"$log" 2>&1 &&
      status=0 || status=$?
    tail -n 12 "$log"
    # go test may fail for no more than that its time is up: golang/go#75804.
    if [ $status != 0 ] && { grep -q 'Failing input' "$log" || ! grep -q '^ *context deadline exceeded$' "$log"; }; then
      failed="$failed $folder:$target"
    fi
    python3 scripts/corpus.py "$cache/$module/$folder/$target" "$folder/testdata/corpus/$target.zip" >/dev/null
  done
done
[ -z "$failed" ] || { echo "fuzz: found something:$failed" >&2; exit 1; }
