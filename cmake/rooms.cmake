# One function per kind of target. Sources are globbed: a file in a room's folder belongs to the room, `*_test.cpp` and
# `*_testing.cpp` belong to the room's test program, `main.cpp` in cli/ is the binary. Nobody edits a list to add a file.

set(TESSERA_WARNINGS -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
    -Wno-missing-field-initializers)  # designated initializers leave the rest at their defaults on purpose
if(TESSERA_WERROR)
  list(APPEND TESSERA_WARNINGS -Werror)
endif()

# The rooms whose branches fuzzers follow.
set(TESSERA_FUZZED base|quant|gguf|safetensors|program|text|graph|models)

function(tessera_settings target)
  target_compile_options(${target} PRIVATE ${TESSERA_WARNINGS} -ffp-contract=off -fno-math-errno)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  if(TESSERA_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${TESSERA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${TESSERA_SANITIZE})
  endif()
  if(TESSERA_SANITIZE MATCHES "address" AND TESSERA_SANITIZE MATCHES "undefined" AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # What these check the address sanitizer sees as well, and they take up to a third of the time to compile.
    target_compile_options(${target} PRIVATE -fno-sanitize=null,object-size)
  endif()
  if(TESSERA_FUZZ AND target MATCHES "^tessera_(${TESSERA_FUZZED})$|_fuzz$")
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# Sources under .../per_isa/ are compiled once for each instruction set of the processor and chosen at run time
# (base/cpu_features.h); TESSERA_ISA is its namespace, TESSERA_VOCABULARY the header that tells it from the others, in
# the folder of its name or the one given here.
# They may instantiate only templates over their own ISA-named types: tools/check_isa_symbols.py looks at the objects.
# TESSERA_WITHOUT_<isa>: sources that it does not have; TESSERA_NEEDS_<isa>: the one whose kernels it takes beside its own.
set(TESSERA_ISA_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(TESSERA_ISA_avx512 ${TESSERA_ISA_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512vbmi)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 warns about the deliberately undefined operand inside its own avx512fintrin.h (GCC bug 105593).
  list(APPEND TESSERA_ISA_avx512 -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
# What Intel's processors are fastest with, of what linears have.
set(TESSERA_ISA_avx512_streams ${TESSERA_ISA_avx512})
set(TESSERA_WITHOUT_avx512_streams "/(float_kernels|limits)\\.cpp$")
set(TESSERA_NEEDS_avx512_streams avx512)
# Tile registers are only used where they are named, so an object's other code is the same as avx512's. They do nothing
# for what float_kernels.cpp has.
set(TESSERA_ISA_amx ${TESSERA_ISA_avx512} -mamx-tile -mamx-int8 -mamx-bf16)
set(TESSERA_WITHOUT_amx "/float_kernels\\.cpp$")
set(TESSERA_NEEDS_amx avx512_streams)
set(TESSERA_ISA_neon -march=armv8.2-a+dotprod)
set(TESSERA_ISA_i8mm -march=armv8.2-a+dotprod+i8mm)
set(TESSERA_FOLDER_i8mm neon)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(isas avx2 avx512 avx512_streams amx)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(isas neon i8mm)
endif()
set(wanted ${TESSERA_ISAS})
if(TESSERA_ISAS STREQUAL "native")
  include(cmake/native_isas.cmake)  # sets `wanted`
endif()
foreach(isa ${wanted})  # those of other processors may be named, too
  if(NOT DEFINED TESSERA_ISA_${isa})
    message(FATAL_ERROR "TESSERA_ISAS: expected avx2, avx512, avx512_streams, amx, neon, i8mm or native, found ${isa}")
  endif()
  if(DEFINED TESSERA_NEEDS_${isa} AND NOT TESSERA_NEEDS_${isa} IN_LIST wanted)
    message(FATAL_ERROR "TESSERA_ISAS: ${isa} needs the kernels of ${TESSERA_NEEDS_${isa}}")
  endif()
endforeach()
if(TESSERA_ISAS)
  foreach(isa ${isas})
    if(NOT isa IN_LIST wanted)
      list(REMOVE_ITEM isas ${isa})
    endif()
  endforeach()
endif()

# How kernels are compiled beside what every source gets.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A loop over blocks whose last step is a short one would be compiled twice, for whole steps and for that one.
  set(TESSERA_KERNEL_FLAGS -fno-split-loops)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  # [[gnu::flatten]] of clang looks one call deep.
  set(TESSERA_KERNEL_FLAGS "SHELL:-mllvm -inline-threshold=100000")
endif()

# Adds the per_isa sources of a room to its library, as one object library per instruction set.
function(tessera_per_isa target folder)
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${PROJECT_SOURCE_DIR}/src OUTPUT_VARIABLE relative)
  cmake_path(GET relative PARENT_PATH parent)
  foreach(isa ${isas})
    set(words ${isa})
    if(TESSERA_FOLDER_${isa})
      set(words ${TESSERA_FOLDER_${isa}})
    endif()
    set(sources_of_isa ${sources})
    if(TESSERA_WITHOUT_${isa})
      list(FILTER sources_of_isa EXCLUDE REGEX "${TESSERA_WITHOUT_${isa}}")
    endif()
    add_library(${target}_${isa} OBJECT ${sources_of_isa})
    tessera_settings(${target}_${isa})
    target_compile_options(${target}_${isa} PRIVATE -fno-exceptions ${TESSERA_ISA_${isa}} ${TESSERA_KERNEL_FLAGS})
    target_compile_definitions(${target}_${isa} PRIVATE
      TESSERA_ISA=${isa} TESSERA_VOCABULARY="${parent}/${words}/vocabulary.h")
    if(TESSERA_SANITIZE MATCHES "undefined")
      # In unrolled kernels, whose arithmetic is intrinsics, checks of every address computed cost three times the rest
      # of the compilation; what such an address reads or writes the address sanitizer still sees.
      target_compile_options(${target}_${isa} PRIVATE -fno-sanitize=undefined)
    endif()
    if(TESSERA_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      # Checks as calls, not inline: less than half of the time to compile.
      target_compile_options(${target}_${isa} PRIVATE "SHELL:-mllvm -asan-instrumentation-with-call-threshold=0")
    endif()
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${isa}>)
    target_compile_definitions(${target} PRIVATE TESSERA_HAS_${isa})
  endforeach()
endfunction()

# Tests are compiled quickly rather than well: what they measure is right or wrong, not fast.
function(tessera_test_settings target)
  tessera_settings(${target})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(${target} PRIVATE -O1)
  elseif(TESSERA_SANITIZE)
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

function(tessera_room name)
  cmake_parse_arguments(ARG "EXCEPTIONS" "" "LINK;TEST_LINK" ${ARGN})
  set(dir ${PROJECT_SOURCE_DIR}/src/${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  if(CMAKE_CROSSCOMPILING)  # GPUs and their emulators are the same everywhere
    list(FILTER sources EXCLUDE REGEX "/kernels/(cuda|metal|emulator)/")
  endif()
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "(_test|_testing)\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "(_test|_testing|/main)\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "/per_isa/")
  file(GLOB_RECURSE per_isa_folders CONFIGURE_DEPENDS LIST_DIRECTORIES true ${dir}/*)
  list(FILTER per_isa_folders INCLUDE REGEX "/per_isa$")
  if(sources)
    add_library(tessera_${name} STATIC ${sources})
    target_link_libraries(tessera_${name} PUBLIC ${ARG_LINK})
  else()
    add_library(tessera_${name} INTERFACE)
    target_link_libraries(tessera_${name} INTERFACE ${ARG_LINK})
  endif()
  if(sources)
    tessera_settings(tessera_${name})
    foreach(folder ${per_isa_folders})
      tessera_per_isa(tessera_${name} ${folder})
    endforeach()
    if(NOT ARG_EXCEPTIONS)
      target_compile_options(tessera_${name} PRIVATE -fno-exceptions)
    endif()
  endif()
  if(tests)
    add_executable(${name}_test ${tests})
    tessera_test_settings(${name}_test)
    target_link_libraries(${name}_test PRIVATE tessera_${name} ${ARG_TEST_LINK} GTest::gtest_main)
    add_test(NAME ${name}_test COMMAND ${name}_test WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  endif()
  if(EXISTS ${dir}/main.cpp)
    add_executable(tessera ${dir}/main.cpp)
    tessera_settings(tessera)
    target_compile_definitions(tessera PRIVATE TESSERA_VERSION="${PROJECT_VERSION}")
    target_link_libraries(tessera PRIVATE tessera_${name})
  endif()
endfunction()

# tests/: what crosses rooms, one program.
function(tessera_extra_tests folder)
  file(GLOB tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*_test.cpp)
  if(tests)
    add_executable(cross_room_test ${tests})
    tessera_test_settings(cross_room_test)
    target_link_libraries(cross_room_test PRIVATE tessera_compile tessera_generate GTest::gtest_main)
    add_test(NAME cross_room_test COMMAND cross_room_test WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  endif()
endfunction()

# bench/: every `*_bench.cpp` is a program of its own.
function(tessera_benchmarks folder)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*_bench.cpp)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    tessera_settings(${name})
    target_link_libraries(${name} PRIVATE tessera_generate tessera_compile benchmark::benchmark)
  endforeach()
endfunction()

# tests/fuzz/NAME_fuzz.cpp: a libFuzzer program over one room, so that it builds without the others.
function(tessera_fuzzer name)
  add_executable(${name}_fuzz ${PROJECT_SOURCE_DIR}/tests/fuzz/${name}_fuzz.cpp)
  tessera_settings(${name}_fuzz)
  target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name}_fuzz PRIVATE ${ARGN})
endfunction()
