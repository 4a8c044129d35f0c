# The libraries people link, put together from the folders' objects:
#
#   acre, acre_static                 the heap as an interface: acre::acre, acre::acre_static
#   acre_malloc, acre_malloc_static   the drop-in malloc:       acre::malloc, acre::malloc_static
#
# All of them lie in lib/ of the build tree.

set(acre_library_dir "${PROJECT_BINARY_DIR}/lib")

# acre_object_files(VARIABLE OBJECT-LIBRARIES...)
function(acre_object_files variable)
  set(objects ${ARGN})
  list(TRANSFORM objects REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>")
  set(${variable} ${objects} PARENT_SCOPE)
endfunction()

# acre_shared_library(NAME OBJECT-LIBRARIES...)
#
# The C++ run-time library is not linked: a C program gets none by us, and an object that comes to need it is an error
# of the link. (g++ 12 does not know -nostdlib++.) A sanitizer's own library comes with it.
#
# Symbols are bound at load: a lazy binding would run the loader's resolver, with its locks, inside malloc, perhaps in a
# forked child. It costs a process's start nothing that 1500 starts in turn could show.
function(acre_shared_library name)
  acre_object_files(objects ${ARGN})
  add_library(${name} SHARED ${objects})
  set_target_properties(${name} PROPERTIES
    LINKER_LANGUAGE CXX
    LIBRARY_OUTPUT_DIRECTORY "${acre_library_dir}"
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR})
  target_link_libraries(${name} INTERFACE Threads::Threads)
  target_link_options(${name} PRIVATE "LINKER:--gc-sections" "LINKER:-z,relro" "LINKER:-z,now")
  if(ACRE_SANITIZE)
    target_link_options(${name} PRIVATE -fsanitize=${ACRE_SANITIZE})
  else()
    target_link_options(${name} PRIVATE -nodefaultlibs "LINKER:-z,defs")
    target_link_libraries(${name} PRIVATE -lc -lgcc)
  endif()
endfunction()

# GNU binutils, whichever compiler is used: clang's own linker does not know --force-group-allocation.
find_program(ACRE_LD NAMES ld.bfd ld REQUIRED)
find_program(ACRE_OBJCOPY NAMES objcopy REQUIRED)

# The interface acre::Heap and acre_... belongs to acre alone. If the drop-in exported it as well, a preloaded drop-in
# of one version would step in for the libacre of another.
set(acre_interface_names "_ZN4acre*" "_ZNK4acre*" "_ZTVN4acre*" "acre_*")

function(acre_hide_interface name)
  list(JOIN acre_interface_names "; " names)
  set(script "${CMAKE_CURRENT_BINARY_DIR}/${name}.map")
  file(CONFIGURE OUTPUT "${script}" CONTENT "{ local: ${names}; };\n")
  target_link_options(${name} PRIVATE "LINKER:--version-script=${script}")
  set_target_properties(${name} PROPERTIES LINK_DEPENDS "${script}")
endfunction()

# acre_static_library(NAME FILE [LOCALIZE names...] OBJECTS object-libraries...)
#
# The archive holds one object, so that a program gets all of it or nothing: of many, the linker would take those that
# the program calls, and a malloc of ours beside a memalign of libc's ends in a crash. Names that are not exported become
# local, so that they cannot clash with the program's, and both archives fit into one program.
function(acre_static_library name file)
  cmake_parse_arguments(arg "" "" "LOCALIZE;OBJECTS" ${ARGN})
  acre_object_files(objects ${arg_OBJECTS})
  list(TRANSFORM arg_LOCALIZE PREPEND "--localize-symbol=")
  set(object "${CMAKE_CURRENT_BINARY_DIR}/${name}.o")
  add_custom_command(OUTPUT "${object}"
    COMMAND "${ACRE_LD}" -r --force-group-allocation -o "${object}" ${objects}
    COMMAND "${ACRE_OBJCOPY}" --localize-hidden --wildcard ${arg_LOCALIZE} "${object}"
    DEPENDS ${objects}
    COMMENT "Joining the objects of ${name}"
    COMMAND_EXPAND_LISTS VERBATIM)
  add_library(${name} STATIC "${object}")
  set_source_files_properties("${object}" PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  set_target_properties(${name} PROPERTIES
    OUTPUT_NAME ${file}
    LINKER_LANGUAGE CXX
    ARCHIVE_OUTPUT_DIRECTORY "${acre_library_dir}")
  target_link_libraries(${name} INTERFACE Threads::Threads)
endfunction()

set(acre_heap_objects acre_arch acre_os acre_allocator)
acre_shared_library(acre ${acre_heap_objects})
acre_static_library(acre_static acre OBJECTS ${acre_heap_objects})
foreach(name acre acre_static)
  target_include_directories(${name} INTERFACE
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/allocator/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  target_compile_features(${name} INTERFACE cxx_std_20)
endforeach()

acre_shared_library(acre_malloc ${acre_heap_objects} acre_compat_malloc)
acre_hide_interface(acre_malloc)
acre_static_library(acre_malloc_static acre_malloc LOCALIZE ${acre_interface_names}
  OBJECTS ${acre_heap_objects} acre_compat_malloc)
# Blocks and thread-exit hooks outlive any dlclose, so the code must as well.
target_link_options(acre_malloc PRIVATE "LINKER:-z,nodelete")

add_library(acre::acre ALIAS acre)
add_library(acre::acre_static ALIAS acre_static)
add_library(acre::malloc ALIAS acre_malloc)
add_library(acre::malloc_static ALIAS acre_malloc_static)
set_target_properties(acre_malloc PROPERTIES EXPORT_NAME malloc)
set_target_properties(acre_malloc_static PROPERTIES EXPORT_NAME malloc_static)
