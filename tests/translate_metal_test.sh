#!/usr/bin/env bash
# The translator of Metal kernels (src/kernels/metal/emulator/translate): what it makes of each rule, and that it says
# where and why it does not translate. tests/translate_metal_test.sh path/to/translate_metal
# Ends with `N passed, N failed`.
set -u
translate=$(realpath "${1:-build/release/translate_metal}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() {
  failed=$((failed + 1))
  echo "FAILED: $1"
  head -5 err | sed 's/^/    /'
}
# becomes SOURCE EXPECTED: one line of Metal and the C++ it turns into.
becomes() {
  printf '%s\n' "$1" >in.metal
  if "$translate" out.h in.metal 2>err && [[ $(sed -n 3p out.h) == "$2" ]]; then ok
  else bad "$1: $(sed -n 3p out.h 2>/dev/null), expected $2"; fi
}
# fails LINE TEXT SOURCE: exit code 1, nothing written, and one line "in.metal:LINE: error: ..." that contains TEXT.
fails() {
  printf '%b' "$3" >in.metal
  rm -f out.h
  "$translate" out.h in.metal >/dev/null 2>err
  local got=$?
  if [[ $got -eq 1 && ! -e out.h && $(wc -l <err) -eq 1 && $(cat err) == "in.metal:$1: error: "*"$2"* ]]; then ok
  else bad "$3: exit code $got, expected an error in line $1 with '$2'"; fi
}

becomes 'device const float4* x' 'Pointer<Space::kDevice, const float4> x'
becomes 'constant Args* a' 'Pointer<Space::kConstant, Args> a'
becomes 'threadgroup half* t' 'Pointer<Space::kThreadgroup, half> t'
becomes 'thread uint* p' 'uint* p'
becomes 'thread simdgroup_matrix<float, 8, 8>& m' 'simdgroup_matrix<float, 8, 8>& m'
becomes 'device metal::packed_half4* x' 'Pointer<Space::kDevice, metal::packed_half4> x'
becomes 'threadgroup float tile[8 * kWidth];' 'const auto tile = threadgroup_array<float, (8*kWidth)>(0, "tile");'
becomes 'threadgroup float a[2]; threadgroup half b[3];' \
  'const auto a = threadgroup_array<float, (2)>(0, "a"); const auto b = threadgroup_array<half, (3)>(1, "b");'
becomes 'constant constexpr int n = 2;' 'constexpr int n = 2;'
becomes 'constexpr constant int n = 2;' 'constexpr int n = 2;'
becomes '// device float x' '// device float x'
becomes '#include <metal_stdlib>' ''
becomes 'my_device * x' 'my_device * x'

fails 1 "write 'device' before const" 'const device float* x\n'
fails 2 "references to device memory" 'int a;\ndevice float& x\n'
fails 3 "references to threadgroup memory" '\n\nthreadgroup float& x\n'
fails 1 "expected *, & or a threadgroup array after 'device float'" 'device float x;\n'
fails 1 "expected *, & or a threadgroup array after 'thread int'" 'thread int (x)\n'
fails 1 "expected a type after an address space" 'device *x\n'
fails 1 "expected the size of threadgroup array tile" 'threadgroup float tile;\n'
fails 1 "goes on in the next line" 'device float\n* x\n'
fails 2 "goes on in the next line" '\nthreadgroup float tile[8 *\n 4];\n'
fails 1 "the text ends inside a type" 'device float'
fails 1 "the text ends inside a type" 'device vec<float, 4'
fails 1 "the text ends inside a type" 'threadgroup float t[4'

if "$translate" out.h missing.metal 2>err; then bad "a missing file"; else ok; fi
if grep -q '^missing.metal: cannot be read$' err; then ok; else bad "names the missing file"; fi
if "$translate" out.h 2>err; then bad "no input"; else ok; fi
if grep -q '^usage: ' err; then ok; else bad "says how it is used"; fi
printf 'int a;\n' >a.metal
printf 'int b;\ndevice int x;\n' >b.metal
if "$translate" out.h a.metal b.metal 2>err; then bad "the second file is bad"; else ok; fi
if grep -q '^b.metal:2: error: ' err; then ok; else bad "names the file at fault"; fi

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
