#!/usr/bin/env bash
# Links every object of the rooms that run programs, and nothing of those that make them:
#   tools/check_run_half.sh build/release
# A reference from the run half into gguf, graph, models or compile is an undefined symbol here.
set -euo pipefail
build=${1:?usage: check_run_half.sh BUILD_DIR}

libraries=()
for room in base quant ops program kernels runtime text generate; do
  library="$build/libtessera_$room.a"
  [[ -f "$library" ]] || { echo "check_run_half: $library is not built" >&2; exit 1; }
  libraries+=("$library")
done
echo 'int main() {}' | c++ -x c++ - -x none -o "$build/run_half" \
  -Wl,--whole-archive "${libraries[@]}" -Wl,--no-whole-archive -lfmt -lutf8proc -lxxhash -pthread -ldl
echo "check_run_half: ${#libraries[@]} rooms link without the compiling half"
