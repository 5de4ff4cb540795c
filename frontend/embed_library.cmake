# Writes OUTPUT: the files of frontend/library as text constants of a C++ file.
#   cmake -DOUTPUT=FILE -DFILES=a.cell,b.cell -P embed_library.cmake
set(text "// Generated from frontend/library by frontend/embed_library.cmake.\n\n")
string(APPEND text "#include \"frontend/library.h\"\n\nnamespace recurve::frontend {\nnamespace {\n\n")
string(APPEND text "constexpr LibraryFile kFiles[] = {\n")
string(REPLACE "," ";" FILES "${FILES}")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} content)
  string(APPEND text "{\"${name}\", R\"recurve(${content})recurve\"},\n")
endforeach()
string(APPEND text "};\n\n}  // namespace\n\n")
string(APPEND text "std::span<const LibraryFile> LibraryFiles() { return kFiles; }\n\n}  // namespace recurve::frontend\n")
file(WRITE ${OUTPUT} "${text}")
