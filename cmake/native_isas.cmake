# Sets `wanted` to the instruction sets that this machine runs, as base/cpu_features.h sees it.
set(source ${CMAKE_BINARY_DIR}/native_isas.cpp)
file(WRITE ${source} "#include <cstdio>
#include \"base/cpu_features.cpp\"
int main() {
  const tessera::CpuFeatures f = tessera::cpu_features();
  std::printf(\"%s%s%s%s%s\", f.avx2 ? \"avx2;\" : \"\", f.avx512 ? \"avx512;avx512_streams;\" : \"\", f.amx ? \"amx;\" : \"\",
              f.neon ? \"neon;\" : \"\", f.i8mm ? \"i8mm;\" : \"\");
}
")
try_run(status compiled ${CMAKE_BINARY_DIR}/native_isas ${source}
        CMAKE_FLAGS -DINCLUDE_DIRECTORIES=${PROJECT_SOURCE_DIR}/src
        CXX_STANDARD 20
        COMPILE_OUTPUT_VARIABLE messages
        RUN_OUTPUT_VARIABLE wanted)
if(NOT compiled OR NOT status EQUAL 0)
  message(FATAL_ERROR "TESSERA_ISAS=native: cannot ask the processor: ${messages}")
endif()
