#!/usr/bin/env bash
# Runs every fuzzer of a build folder for a while and ends with `N passed, N failed`:
#   tools/run_fuzzers.sh build/asan [SECONDS_EACH]
# Starts from tests/fuzz/seeds/<fuzzer>/ where that exists; inputs that fail are left in <build folder>/crashes/.
set -uo pipefail
build=${1:?usage: run_fuzzers.sh BUILD_DIR [SECONDS_EACH]}
seconds=${2:-10}
passed=0 failed=0

mkdir -p "$build/crashes"
for fuzzer in "$build"/*_fuzz; do
  [[ -x "$fuzzer" ]] || continue
  name=$(basename "$fuzzer")
  corpus="$build/corpus/$name"
  mkdir -p "$corpus"
  inputs=("$corpus")
  [[ -d "tests/fuzz/seeds/$name" ]] && inputs+=("tests/fuzz/seeds/$name")
  if "$fuzzer" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -artifact_prefix="$build/crashes/$name-" \
      "${inputs[@]}" >"$build/$name.log" 2>&1; then
    passed=$((passed + 1))
    printf 'ok   %-24s %s\n' "$name" "$(grep -oE 'Done [0-9]+ runs' "$build/$name.log" | tail -n 1)"
  else
    failed=$((failed + 1))
    printf 'FAIL %s\n' "$name"
    tail -n 40 "$build/$name.log"
  fi
done
echo "$passed passed, $failed failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
