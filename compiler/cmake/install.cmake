# What `cmake --install` puts into a prefix: the command, headers, libraries, and what CMake and pkg-config need to find
# them. The runtime's libraries are a set of their own, since a program that only runs compiled objects has no LLVM.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Recurve)
set_target_properties(recurve_runtime PROPERTIES EXPORT_NAME runtime)
set_target_properties(recurve_compiler PROPERTIES EXPORT_NAME compiler)
install(TARGETS recurve_runtime EXPORT RecurveRuntimeTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS recurve recurve_ir recurve_frontend recurve_graph_util recurve_derivative recurve_passes
                recurve_evaluation recurve_lanes recurve_backend recurve_codegen recurve_import recurve_compiler
        EXPORT RecurveCompilerTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT RecurveRuntimeTargets NAMESPACE Recurve:: DESTINATION ${package_dir})
install(EXPORT RecurveCompilerTargets NAMESPACE Recurve:: DESTINATION ${package_dir})
foreach(folder ir frontend runtime compiler)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/recurve
          FILES_MATCHING PATTERN "*.h" PATTERN "*.def" PATTERN "command" EXCLUDE PATTERN "cmake" EXCLUDE
          PATTERN "library" EXCLUDE PATTERN "examples" EXCLUDE)
endforeach()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/RecurveConfig.cmake.in ${PROJECT_BINARY_DIR}/RecurveConfig.cmake
                              INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_BINDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/RecurveConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/RecurveConfig.cmake ${PROJECT_BINARY_DIR}/RecurveConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/RecurveAddLibrary.cmake DESTINATION ${package_dir})
configure_file(${CMAKE_CURRENT_LIST_DIR}/recurve-runtime.pc.in ${PROJECT_BINARY_DIR}/recurve-runtime.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/recurve-runtime.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
