#!/usr/bin/env bash
# Installs what a Debian 12 machine needs to build, test and check Tessera. Does nothing where all of it is there.
#   tools/setup.sh           install what is missing
#   tools/setup.sh --check   only report; exit 1 if something is missing
set -euo pipefail

packages=(
  build-essential cmake ninja-build ccache
  clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14
  libflatbuffers-dev flatbuffers-compiler libfmt-dev libcli11-dev nlohmann-json3-dev
  g++-aarch64-linux-gnu qemu-user googletest
  libgtest-dev libbenchmark-dev libxxhash-dev libutf8proc-dev
  git python3
)

missing() {
  local package
  for package in "${packages[@]}"; do
    [[ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" == "install ok installed" ]] || echo "$package"
  done
}

as_root() { if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi; }

install() {
  echo "setup: installing $*"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# require NAME MINIMUM FOUND: the versions the code relies on, in words instead of a compiler's page of errors.
require() {
  if [[ "$(printf '%s\n%s\n' "$2" "${3:-0}" | sort -V | head -n 1)" != "$2" ]]; then
    echo "setup: $1 $2 or newer is needed, found ${3:-none}" >&2
    return 1
  fi
}

check_versions() {
  require g++ 12 "$(g++ -dumpfullversion)"
  require clang-14 14 "$(clang-14 -dumpversion)"
  require cmake 3.25 "$(cmake --version | awk 'NR == 1 {print $3}')"
  require python3 3.9 "$(python3 -c 'import platform; print(platform.python_version())')"
}

if ! command -v apt-get >/dev/null; then
  echo "setup: not a Debian system; the build needs the equivalents of: ${packages[*]}" >&2
  exit 0
fi
mapfile -t wanted < <(missing)
if ((${#wanted[@]})); then
  if [[ "${1:-}" == --check ]]; then
    echo "setup: missing ${wanted[*]}" >&2
    exit 1
  fi
  install "${wanted[@]}"
fi
check_versions
