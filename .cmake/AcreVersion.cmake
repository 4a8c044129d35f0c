# ACRE_VERSION, read from the public header, where it stands once.

set(header "${CMAKE_CURRENT_LIST_DIR}/../allocator/include/acre/version.h")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")
file(STRINGS "${header}" lines REGEX "ACRE_VERSION_(MAJOR|MINOR|PATCH) = [0-9]+")
set(ACRE_VERSION "")
foreach(line IN LISTS lines)
  string(REGEX MATCH "[0-9]+" number "${line}")
  string(APPEND ACRE_VERSION ".${number}")
endforeach()
string(REGEX REPLACE "^\\." "" ACRE_VERSION "${ACRE_VERSION}")
if(NOT ACRE_VERSION MATCHES "^[0-9]+\\.[0-9]+\\.[0-9]+$")
  message(FATAL_ERROR "acre: no version found in ${header}")
endif()
