# Language level, warnings and the switches that the presets set.
option(FEDMOE_TESTS "build the tests" ON)
option(FEDMOE_FUZZ "build the libFuzzer targets (clang only)" OFF)
option(FEDMOE_STATIC "fedmoe-model as one file that needs nothing else: link it statically" OFF)
set(FEDMOE_SANITIZE "" CACHE STRING "value of -fsanitize=, for example address,undefined")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

add_library(fedmoe_flags INTERFACE)
target_compile_definitions(fedmoe_flags INTERFACE _GNU_SOURCE FM_VERSION="${PROJECT_VERSION}")
target_compile_options(fedmoe_flags INTERFACE
    -Wall -Wextra -Wconversion -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Werror
    -fno-omit-frame-pointer -fstack-protector-strong
    # A product and a sum stay two roundings on every machine: the same run gives the same bits.
    -ffp-contract=off)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_definitions(fedmoe_flags INTERFACE _FORTIFY_SOURCE=2)
    # Two builds in two folders are the same bytes.
    target_compile_options(fedmoe_flags INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.)
endif()
target_link_options(fedmoe_flags INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)
if(FEDMOE_SANITIZE)
    target_compile_options(fedmoe_flags INTERFACE
        -fsanitize=${FEDMOE_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(fedmoe_flags INTERFACE -fsanitize=${FEDMOE_SANITIZE})
endif()
