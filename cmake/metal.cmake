# src/kernels/metal/*.metal reaches the kernels room twice: as the strings that programs carry, and translated to C++ for
# the emulator, by a tool that is built first.
set(metal_folder ${PROJECT_SOURCE_DIR}/src/kernels/metal)
set(metal_generated ${PROJECT_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${metal_generated})
set(metal_header formats matvec matmul embedding)  # the order in a program's header text
list(TRANSFORM metal_header REPLACE "(.+)" "${metal_folder}/\\1.metal" OUTPUT_VARIABLE metal_header_files)
set(tq4_header_files ${metal_folder}/tq4.metal)

add_executable(translate_metal ${metal_folder}/emulator/translate/main.cpp)
tessera_settings(translate_metal)

function(tessera_translate_metal name)
  set(output ${metal_generated}/${name}_generated.h)
  add_custom_command(OUTPUT ${output} COMMAND translate_metal ${output} ${ARGN} DEPENDS translate_metal ${ARGN} VERBATIM)
  target_sources(tessera_kernels PRIVATE ${output})
endfunction()

tessera_translate_metal(metal_header ${metal_header_files})
tessera_translate_metal(tq4_header ${tq4_header_files})
foreach(op matvec matmul embedding tq_norm tq4_compress tq_dequant)
  list(APPEND metal_body_files ${metal_folder}/${op}_body.metal)
  tessera_translate_metal(${op}_body ${metal_folder}/${op}_body.metal)
endforeach()

set(embed_script ${PROJECT_SOURCE_DIR}/cmake/embed_metal.cmake)
add_custom_command(
  OUTPUT ${metal_generated}/metal_text_generated.h
  COMMAND ${CMAKE_COMMAND} "-DHEADER=${metal_header_files}" "-DTQ4_HEADER=${tq4_header_files}" "-DBODIES=${metal_body_files}"
          -DOUTPUT=${metal_generated}/metal_text_generated.h -P ${embed_script}
  DEPENDS ${embed_script} ${metal_header_files} ${tq4_header_files} ${metal_body_files} VERBATIM)
target_sources(tessera_kernels PRIVATE ${metal_generated}/metal_text_generated.h)
target_include_directories(tessera_kernels PRIVATE ${metal_generated})
