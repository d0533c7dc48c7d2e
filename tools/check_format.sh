#!/usr/bin/env bash
# Fails where clang-format would change a file of src, tests or bench; with --fix, changes it.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -d '' files < <(find src tests bench -name generated -prune -o \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 | sort -z)
if [[ "${1:-}" == --fix ]]; then
  clang-format-14 -i "${files[@]}"
else
  clang-format-14 --dry-run -Werror "${files[@]}"
  echo "check_format: ${#files[@]} files are formatted"
fi
