# The CUDA kernels reach two targets: g++ compiles their text into the kernels room for the emulated device, and with
# TESSERA_CUDA nvcc makes libtessera_cuda.so of it, which the program loads when a GPU is asked for.
set(cuda_folder ${PROJECT_SOURCE_DIR}/src/kernels/cuda)
file(GLOB cuda_formats CONFIGURE_DEPENDS ${cuda_folder}/format_*.cu)
foreach(file ${cuda_formats})
  get_filename_component(name ${file} NAME_WE)
  set(wrapper ${PROJECT_BINARY_DIR}/generated/emulated_${name}.cpp)
  file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"kernels/cuda/${name}.cu\"\n")
  target_sources(tessera_kernels PRIVATE ${wrapper})
endforeach()
target_link_libraries(tessera_kernels PUBLIC ${CMAKE_DL_LIBS})
target_include_directories(kernels_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)

if(NOT TESSERA_CUDA)
  return()
endif()
find_program(TESSERA_NVCC nvcc HINTS /usr/local/cuda/bin REQUIRED)
# Machine code for each, and PTX of the last for GPUs that come later. The build of a single one takes a fifth of the
# time: -DTESSERA_CUDA_ARCHITECTURES=90a.
set(TESSERA_CUDA_ARCHITECTURES "80;86;89;90a;100" CACHE STRING "Compute capabilities to build for")
set(nvcc_flags -std=c++20 -O3 --expt-relaxed-constexpr -Werror=all-warnings -Xcompiler=-fPIC,-fvisibility=hidden)
foreach(arch ${TESSERA_CUDA_ARCHITECTURES})
  list(APPEND nvcc_flags -gencode=arch=compute_${arch},code=sm_${arch})
  set(last_arch ${arch})
endforeach()
list(APPEND nvcc_flags -gencode=arch=compute_${last_arch},code=compute_${last_arch})

set(objects "")
foreach(file ${cuda_formats} ${cuda_folder}/library.cu ${cuda_folder}/transfers.cu)
  get_filename_component(name ${file} NAME_WE)
  set(object ${PROJECT_BINARY_DIR}/generated/cuda_${name}.o)
  add_custom_command(OUTPUT ${object} DEPENDS ${file} DEPFILE ${object}.d VERBATIM
    COMMAND ${TESSERA_NVCC} ${nvcc_flags} -I${PROJECT_SOURCE_DIR}/src -MD -MF ${object}.d -c ${file} -o ${object})
  list(APPEND objects ${object})
endforeach()
set(library ${PROJECT_BINARY_DIR}/libtessera_cuda.so)
# The CUDA runtime is inside; the driver is the machine's.
add_custom_command(OUTPUT ${library} DEPENDS ${objects} VERBATIM
  COMMAND ${TESSERA_NVCC} -shared -cudart static -Xlinker=-Bsymbolic,--exclude-libs,ALL ${objects} -o ${library})
add_custom_target(tessera_cuda ALL DEPENDS ${library})
