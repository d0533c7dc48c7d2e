# The libraries of a cross build, from headers and sources: Debian's binaries are for the machine that compiles.
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/headers)
file(CREATE_LINK /usr/include/fmt ${CMAKE_BINARY_DIR}/headers/fmt SYMBOLIC)  # /usr/include itself has the wrong libc
add_library(fmt::fmt INTERFACE IMPORTED GLOBAL)
target_include_directories(fmt::fmt INTERFACE ${CMAKE_BINARY_DIR}/headers)
target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY=1)
add_subdirectory(/usr/src/googletest/googletest googletest EXCLUDE_FROM_ALL)
