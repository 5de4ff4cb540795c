# Writes OUTPUT: a digest of the compiler's sources as a constant of a C++ file. Kept programs are those of one compiler.
#   cmake -DOUTPUT=FILE -DFILES=a.cpp,b.h -P hash_sources.cmake
string(REPLACE "," ";" FILES "${FILES}")
set(digests "")
foreach(file ${FILES})
  file(SHA256 ${file} digest)
  string(APPEND digests "${digest}")
endforeach()
string(SHA256 digest "${digests}")
file(WRITE ${OUTPUT} "// Generated from the compiler's sources by compiler/hash_sources.cmake.\n\n"
  "namespace recurve {\n\nextern const char kCompilerSources[];\nconst char kCompilerSources[] = \"${digest}\";\n\n}  // namespace recurve\n")
