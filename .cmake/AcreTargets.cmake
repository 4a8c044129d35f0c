# Flags that every target of the tree shares, and the functions by which folders declare theirs.

add_library(acre_flags INTERFACE)
target_include_directories(acre_flags INTERFACE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/allocator/include")
target_compile_options(acre_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wno-missing-field-initializers
  $<$<BOOL:${ACRE_WERROR}>:-Werror>)
if(ACRE_CHECKS STREQUAL "asserts")
  target_compile_definitions(acre_flags INTERFACE ACRE_ASSERTS=1)
elseif(ACRE_CHECKS STREQUAL "audits")
  target_compile_definitions(acre_flags INTERFACE ACRE_ASSERTS=1 ACRE_AUDITS=1)
elseif(NOT ACRE_CHECKS STREQUAL "none")
  message(FATAL_ERROR "acre: ACRE_CHECKS is '${ACRE_CHECKS}': use none, asserts or audits")
endif()
if(ACRE_SANITIZE)
  target_compile_options(acre_flags INTERFACE -fsanitize=${ACRE_SANITIZE} -fno-omit-frame-pointer
    $<$<STREQUAL:${ACRE_SANITIZE},undefined>:-fno-sanitize-recover=all>)
  target_link_options(acre_flags INTERFACE -fsanitize=${ACRE_SANITIZE})
endif()

# The library itself has neither exceptions nor run-time type information, and needs no C++ run-time library.
add_library(acre_library_flags INTERFACE)
target_link_libraries(acre_library_flags INTERFACE acre_flags)
target_compile_options(acre_library_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -fno-threadsafe-statics>
  -fno-stack-protector -fno-math-errno -ffunction-sections)

# GCC's and clang's ThreadSanitizer die at start when the kernel randomises mappings over more than 28 bits (the default
# of newer kernels is 32), so test programs run without randomisation where the machine lets them.
set(ACRE_LAUNCHER "")
if(ACRE_SANITIZE STREQUAL "thread")
  find_program(ACRE_SETARCH setarch)
  if(ACRE_SETARCH)
    execute_process(COMMAND "${ACRE_SETARCH}" --addr-no-randomize true RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    if(result EQUAL 0)
      set(ACRE_LAUNCHER "${ACRE_SETARCH};--addr-no-randomize")
    endif()
  endif()
endif()

# A sanitizer's finding ends the program; a huge request is answered with null, as without a sanitizer.
set(ACRE_SANITIZER_ENVIRONMENT
  "ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1"
  "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
  "TSAN_OPTIONS=halt_on_error=1:allocator_may_return_null=1")

# acre_objects(NAME FILES...): a folder's sources as an object library, linked into acre, libacre_malloc and the tests.
function(acre_objects name)
  add_library(${name} OBJECT ${ARGN})
  target_link_libraries(${name} PUBLIC acre_library_flags Threads::Threads)
endfunction()

# Under a sanitizer, code at -O2 takes the compiler two to three times as long as at -Og, and unit tests are most of what
# is compiled. The library itself is tested as it is always built, and model and stress tests compute for minutes. Variables
# of tests are for the debugger of the debug build: line tables alone save a fifth.
set(ACRE_UNIT_TEST_OPTIONS "$<$<BOOL:${ACRE_SANITIZE}>:-Og>" "$<$<CONFIG:RelWithDebInfo>:-g1>")

# acre_test(NAME LABEL label SOURCES files... [LIBRARIES libs...] [TIMEOUT seconds]): a GoogleTest program; one ctest
# entry per test case. A case that takes longer than the timeout (120 s unless told) has failed.
function(acre_test name)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT arg_LABEL)
    message(FATAL_ERROR "acre: the test ${name} has no LABEL")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE acre_flags ${arg_LIBRARIES} GTest::gmock GTest::gtest GTest::gtest_main
    Threads::Threads)
  if(arg_LABEL STREQUAL "unit")
    target_compile_options(${name} PRIVATE ${ACRE_UNIT_TEST_OPTIONS})
    if(TARGET acre_test_pch)
      target_precompile_headers(${name} REUSE_FROM acre_test_pch)
    endif()
  endif()
  set_target_properties(${name} PROPERTIES CROSSCOMPILING_EMULATOR "${ACRE_LAUNCHER}")
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} ENVIRONMENT "${ACRE_SANITIZER_ENVIRONMENT}")
endfunction()

# acre_add_existing_folders(FOLDERS...): add_subdirectory for each folder that has a CMakeLists.txt.
function(acre_add_existing_folders)
  foreach(folder IN LISTS ARGN)
    if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt")
      add_subdirectory(${folder})
    endif()
  endforeach()
endfunction()

# acre_collect_targets(FOLDER VARIABLE): the programs and libraries that a folder and those below it declare.
function(acre_collect_targets folder variable)
  get_property(targets DIRECTORY "${folder}" PROPERTY BUILDSYSTEM_TARGETS)
  get_property(subfolders DIRECTORY "${folder}" PROPERTY SUBDIRECTORIES)
  foreach(subfolder IN LISTS subfolders)
    acre_collect_targets("${subfolder}" more)
    list(APPEND targets ${more})
  endforeach()
  set(${variable} ${targets} PARENT_SCOPE)
endfunction()
