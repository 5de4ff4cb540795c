// frontend/frontend.cpp: the stages in a row.

#include "frontend/frontend.h"

#include "frontend/checker.h"
#include "frontend/graph_builder.h"
#include "frontend/parser.h"

namespace recurve::frontend {

LoadResult Load(std::string_view file_name, std::string_view text) {
  Diagnostics diagnostics;
  auto source = std::make_shared<Source>(std::string(file_name), std::string(text));
  std::optional<CheckedProgram> checked = Check(Parse(source, diagnostics), diagnostics);
  LoadResult result{.messages = diagnostics.Render()};
  if (!checked) return result;
  Program program;
  for (const Definition& definition : checked->ast.definitions) {
    if (definition.kind == Definition::Kind::kFunction) continue;
    Entry entry{.name = definition.name.text, .is_model = definition.kind == Definition::Kind::kModel};
    for (const Name& extent : definition.parameters) entry.extents.push_back(extent.text);
    program.entries.push_back(std::move(entry));
  }
  program.checked = std::make_shared<CheckedProgram>(std::move(*checked));
  result.program = std::move(program);
  return result;
}

BuildResult Build(const Program& program, std::string_view entry, const Extents& extents) {
  Diagnostics diagnostics;
  BuildResult result;
  result.graph = BuildGraph(*program.checked, entry, extents, diagnostics);
  result.messages = diagnostics.Render();
  return result;
}

std::string PrintAst(const Program& program, std::string_view entry) {
  const Definition* definition = program.checked->Find(entry);
  return definition == nullptr ? std::string() : Print(*definition);
}

}  // namespace recurve::frontend
