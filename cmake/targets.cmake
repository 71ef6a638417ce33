# fedmoe_library(NAME SOURCES ... LINKS ... PRIVATE ...): one folder, one static library.
# LINKS are visible to users of the library's headers, PRIVATE are not.
function(fedmoe_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE" ${ARGN})
    add_library(fedmoe_${name} STATIC ${ARG_SOURCES})
    target_include_directories(fedmoe_${name}
        PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
    target_link_libraries(fedmoe_${name} PUBLIC ${ARG_LINKS} PRIVATE fedmoe_flags ${ARG_PRIVATE})
endfunction()

# fedmoe_program(NAME SOURCES ... LINKS ...): the folder's program, build/<preset>/bin/NAME.
function(fedmoe_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
    target_link_libraries(${name} PRIVATE fedmoe_flags ${ARG_LINKS})
endfunction()

# fedmoe_test(MODULE FILE... LINKS ...): one CUnit program per folder under tests/.
function(fedmoe_test module)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
    add_executable(test-${module} ${ARG_SOURCES})
    target_link_libraries(test-${module} PRIVATE
        fedmoe_flags fedmoe_test_support ${CUNIT_LIBRARY} ${ARG_LINKS})
    target_include_directories(test-${module} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    add_test(NAME ${module} COMMAND test-${module})
    set_tests_properties(${module} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900)
endfunction()
