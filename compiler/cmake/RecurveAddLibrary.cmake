# recurve_add_library(TARGET FILE.cell ENTRY name EXTENTS I=64 H=128
#                     [WEIGHTS FILE.safetensors] [ENTRIES step inference ...] [ONE]
#                     [TARGETS x86-64-v2 x86-64-v3 ... | aarch64-linux-gnu] [CPU cortex-a72] [FEATURES +v] [OPTIONS --store=bf16 ...])
#
# A static library of one compiled program, and the folder of its header `name.h` as an include directory of whoever
# links it. It is compiled again when the source, the weights or the compiler change. TARGETS is a triple, with CPU and
# FEATURES, or levels of x86-64, of which the best that a machine has runs; without it the object is for this machine's
# processor, and for no older one.
function(recurve_add_library target source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "ONE" "ENTRY;WEIGHTS;CPU;FEATURES" "EXTENTS;ENTRIES;TARGETS;OPTIONS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "recurve_add_library(${target}): what is `${arg_UNPARSED_ARGUMENTS}`?")
  endif()
  if(NOT arg_ENTRY)
    message(FATAL_ERROR "recurve_add_library(${target}): ENTRY, the cell or model in ${source}, is missing")
  endif()
  cmake_path(ABSOLUTE_PATH source)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${target})
  set(options ${arg_OPTIONS})
  foreach(extent ${arg_EXTENTS})
    list(APPEND options -D ${extent})
  endforeach()
  if(arg_ENTRIES)
    list(JOIN arg_ENTRIES "," entries)
    list(APPEND options --entries=${entries})
  endif()
  if(arg_ONE)
    list(APPEND options --one)
  endif()
  if(arg_WEIGHTS)
    cmake_path(ABSOLUTE_PATH arg_WEIGHTS OUTPUT_VARIABLE weights)
    list(APPEND options --weights=${weights})
  endif()
  if(arg_TARGETS)
    list(JOIN arg_TARGETS "," targets)
    list(APPEND options --target=${targets})
  endif()
  if(arg_CPU)
    list(APPEND options --cpu=${arg_CPU})
  endif()
  if(arg_FEATURES)
    list(APPEND options --features=${arg_FEATURES})
  endif()
  add_custom_command(
    OUTPUT ${folder}/${arg_ENTRY}.o ${folder}/${arg_ENTRY}.h
    COMMAND ${RECURVE_COMMAND} compile ${source} ${arg_ENTRY} ${options} -o ${folder}
    DEPENDS ${source} ${weights} ${RECURVE_COMMAND}
    COMMENT "Compiling ${arg_ENTRY} with Recurve" VERBATIM)
  add_library(${target} STATIC ${folder}/${arg_ENTRY}.o ${folder}/${arg_ENTRY}.h)
  set_source_files_properties(${folder}/${arg_ENTRY}.o PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE C)
  target_include_directories(${target} INTERFACE ${folder})
endfunction()
