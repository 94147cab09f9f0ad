#!/bin/sh
# Runs every fuzz target of the Go tests, or those whose name matches FUZZ, for FUZZTIME (5m), one
# after another. What a target finds stays in its package's testdata/fuzz, and so do inputs that
# reach new code: up to 200 of them, the smallest first, so that a fresh clone begins with them and
# every test run sends them.
#   scripts/fuzz.sh [-parallel=N ...]      further flags are go test's
set -eu
cd "$(dirname "$0")/.."
most=200
longest=4096
module=$(go list -m)
cache=$(go env GOCACHE)/fuzz
failed=
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# keep copies from the cache of a target to its place in the repository.
keep() {
  mkdir -p "$2"
  room=$((most - $(ls "$2" | wc -l)))
  for name in $(ls -Sr "$1" 2>/dev/null); do
    [ "$room" -gt 0 ] || break
    [ ! -e "$2/$name" ] || continue
    [ "$(wc -c <"$1/$name")" -le "$longest" ] || break
    cp "$1/$name" "$2/$name"
    room=$((room - 1))
  done
}

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
    keep "$cache/$module/$folder/$target" "$folder/testdata/fuzz/$target"
  done
done
[ -z "$failed" ] || { echo "fuzz: found something:$failed" >&2; exit 1; }
