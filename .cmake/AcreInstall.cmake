# What `cmake --install` lays down: libraries, headers, pkg-config files, and the CMake package of find_package(acre).

include(CMakePackageConfigHelpers)

install(TARGETS acre acre_static acre_malloc acre_malloc_static EXPORT acre-targets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/allocator/include/acre" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
# Messages of the library name this page and the folder it is installed in.
install(FILES "${PROJECT_SOURCE_DIR}/docs/kernel-signal-vector-bug.md" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

set(acre_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/acre")
install(EXPORT acre-targets NAMESPACE acre:: DESTINATION "${acre_package_dir}")
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/acre-config.cmake.in" "${PROJECT_BINARY_DIR}/acre-config.cmake"
  INSTALL_DESTINATION "${acre_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/acre-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/acre-config.cmake" "${PROJECT_BINARY_DIR}/acre-config-version.cmake"
  DESTINATION "${acre_package_dir}")

# The prefix is told relative to the file itself, so that an installed tree may be moved as a whole.
file(RELATIVE_PATH acre_prefix_from_pc "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" acre_prefix_from_pc "${acre_prefix_from_pc}")
foreach(name acre acre-malloc)
  configure_file("${CMAKE_CURRENT_LIST_DIR}/${name}.pc.in" "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endforeach()
