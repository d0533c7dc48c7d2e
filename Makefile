# Short names for what CMake's presets and tools/ do. `make demo` is the place to start.
.DEFAULT_GOAL := build
.PHONY: setup build demo test cuda-test bench asan asan-ci tsan aarch64 tidy format clean

MODEL  := models/tales-q4_k_m.gguf
PROMPT := Tell me the tale of the fox and the golden bird
# What the sanitizers' thread check runs: the tests in which threads meet.
THREADED := base kernels runtime
# Tests that emulate GPUs: one thread, and slow where everything is.
EMULATED := Metal*:Dispatch*:Emulated*:Devices*

setup:
	@tools/setup.sh

build: setup
	@cmake --preset release >/dev/null
	@cmake --build --preset release

# No tests, no benchmarks: a fifth of the time to build less.
demo: setup
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target tessera
	build/release/tessera export $(MODEL) -o build/tales.pte
	build/release/tessera run build/tales.pte -p '$(PROMPT)' -n 300 --seed 6

test: build
	@tools/run_tests.py build/release --checks

bench: build
	@for program in build/release/*_bench; do echo "== $$program"; "$$program" || exit 1; done
	build/release/tessera bench $(MODEL)

asan: setup
	@cmake --preset asan >/dev/null
	@cmake --build --preset asan
	@tools/run_tests.py build/asan
	@tools/run_fuzzers.sh build/asan

# Every test of the CUDA kernels and of models on them: on the emulated device, and on the GPU where there is one.
CUDA_ARCHITECTURES := 90a
cuda-test: setup
	@cmake --preset cuda -DTESSERA_CUDA_ARCHITECTURES=$(CUDA_ARCHITECTURES) >/dev/null
	@cmake --build --preset cuda --target tessera_cuda tessera kernels_test cross_room_test
	@tools/run_tests.py build/cuda --jobs 1 --only kernels,cross_room --filter='Devices*:Emulated*:SmallCard*'

# What CI has time for: every fuzzer and all rooms but those whose tests instantiate the codec (minutes to compile);
# not the GPU emulators, which watch bounds and races themselves.
SANITIZED := base quant gguf safetensors text ops kernels graph models runtime generate
FUZZERS   := npy gguf safetensors torchao hf_json pte tokenizer template
asan-ci: setup
	@cmake --preset asan >/dev/null
	@cmake --build --preset asan --target $(addsuffix _test,$(SANITIZED)) $(addsuffix _fuzz,$(FUZZERS))
	@tools/run_tests.py build/asan --only $(shell echo $(SANITIZED) | tr ' ' ,) --filter='-$(EMULATED)'
	@tools/run_fuzzers.sh build/asan

tsan: setup
	@cmake --preset tsan >/dev/null
	@cmake --build --preset tsan --target $(addsuffix _test,$(THREADED))
	@tools/run_tests.py build/tsan --only $(shell echo $(THREADED) | tr ' ' ,) --filter='-$(EMULATED)'

# The CPU's kernels and what they stand on for AArch64, by cross compiler, run by qemu.
aarch64: setup
	@cmake --preset aarch64 >/dev/null
	@cmake --build --preset aarch64 --target base_test quant_test ops_test kernels_test
	@tools/run_tests.py build/aarch64 --emulator 'qemu-aarch64 -L /usr/aarch64-linux-gnu'

tidy: setup
	@cmake --preset clang >/dev/null
	@run-clang-tidy-14 -quiet -p build/clang 'src/.*\.cpp'

format:
	@tools/check_format.sh --fix

clean:
	rm -rf build
