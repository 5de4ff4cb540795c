// frontend/checker.cpp: every definition of a file, each once.

#include "frontend/checker.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/builtins.h"
#include "frontend/elaborator.h"
#include "frontend/library.h"

namespace recurve::frontend {
namespace {

bool IsFunction(const Definition& definition) { return definition.kind == Definition::Kind::kFunction; }

// Two cells or models of one name, or two functions of one name and number of arguments.
bool Clash(const Definition& a, const Definition& b) {
  return a.name.text == b.name.text && IsFunction(a) == IsFunction(b) &&
         (!IsFunction(a) || a.parameters.size() == b.parameters.size());
}

void CheckNames(const Ast& ast, Diagnostics& diagnostics) {
  for (auto later = ast.definitions.begin(); later != ast.definitions.end(); ++later) {
    auto earlier = std::find_if(ast.definitions.begin(), later, [&](const Definition& d) { return Clash(d, *later); });
    if (earlier == later) continue;
    diagnostics.Report(Kind::kDuplicateName, later->name.range, fmt::format("a second `{}`", later->name.text))
        .Note(earlier->name.range, "the first is here");
  }
}

}  // namespace

DefinitionIndex::DefinitionIndex(const Ast& user) {
  for (const Definition& definition : user.definitions) definitions_.push_back(&definition);
  for (const Ast& ast : LibraryAsts()) {
    for (const Definition& definition : ast.definitions) definitions_.push_back(&definition);
  }
}

const Definition* DefinitionIndex::FindEntry(std::string_view name) const {
  for (const Definition* definition : definitions_) {
    if (!IsFunction(*definition) && definition->name.text == name) return definition;
  }
  return nullptr;
}

const Definition* DefinitionIndex::FindFunction(std::string_view name, size_t arguments, bool from_library) const {
  for (const Definition* definition : definitions_) {
    if (IsFunction(*definition) && definition->name.text == name && definition->parameters.size() == arguments &&
        (!from_library || IsLibrary(definition->range))) {
      return definition;
    }
  }
  return nullptr;
}

std::vector<std::string> DefinitionIndex::CellNames() const {
  std::vector<std::string> names;
  for (const Definition* definition : definitions_) {
    if (definition->kind == Definition::Kind::kCell) names.push_back(definition->name.text);
  }
  return names;
}

std::vector<std::string> DefinitionIndex::FunctionNames() const {
  std::vector<std::string> names;
  for (const Definition* definition : definitions_) {
    if (IsFunction(*definition)) names.push_back(definition->name.text);
  }
  for (const Builtin& builtin : Builtins()) names.emplace_back(builtin.name);
  return names;
}

std::set<size_t> DefinitionIndex::Arities(std::string_view name) const {
  std::set<size_t> arities;
  for (const Definition* definition : definitions_) {
    if (IsFunction(*definition) && definition->name.text == name) arities.insert(definition->parameters.size());
  }
  for (const Builtin& builtin : Builtins()) {
    if (builtin.name == name) arities.insert(builtin.arity == kAnyArity ? 1 : builtin.arity);
  }
  return arities;
}

const Definition* CheckedProgram::Find(std::string_view name) const {
  for (const Definition& definition : ast.definitions) {
    if (!IsFunction(definition) && definition.name.text == name) return &definition;
  }
  return nullptr;
}

std::optional<CheckedProgram> Check(Ast ast, Diagnostics& diagnostics) {
  CheckNames(ast, diagnostics);
  Reporter reporter(diagnostics);
  DefinitionIndex index(ast);
  Elaboration shared{.index = index, .reporter = reporter};
  // Cells before models: a mistake in a cell is the cell's, not that of the model that scans it.
  for (Definition::Kind kind : {Definition::Kind::kCell, Definition::Kind::kModel}) {
    for (const Definition& definition : ast.definitions) {
      if (definition.kind == kind && !definition.broken) Elaborator(shared).Run(definition, {});
    }
  }
  for (const Definition& definition : ast.definitions) {
    if (IsFunction(definition) && !definition.broken) Elaborator(shared).RunFunction(definition);
  }
  // A file of functions alone is a collection; so is one whose cells could not be read.
  bool calls_all = std::ranges::any_of(ast.definitions, [](const Definition& d) { return !IsFunction(d); }) &&
                   std::ranges::none_of(ast.definitions, &Definition::broken);
  for (const Definition& definition : ast.definitions) {
    if (!calls_all || !IsFunction(definition) || shared.called.contains(&definition)) continue;
    diagnostics.Report(Kind::kUnused, definition.name.range,
                       fmt::format("function `{}` is never called", definition.name.text));
  }
  if (diagnostics.has_errors()) return std::nullopt;
  return CheckedProgram{std::move(ast)};
}

std::shared_ptr<const TypedDefinition> Elaborate(const CheckedProgram& program, const Definition& definition,
                                                 const Extents& numbers, Diagnostics& diagnostics) {
  Diagnostics all;
  Reporter reporter(all);
  DefinitionIndex index(program.ast);
  Elaboration shared{.index = index, .reporter = reporter, .numbers = &numbers};
  std::shared_ptr<const TypedDefinition> typed = Elaborator(shared).Run(definition, {});
  // What is unused was said when the program was checked.
  for (const Diagnostic& diagnostic : all.all()) {
    if (SeverityOf(diagnostic.kind) == Severity::kError) {
      diagnostics.Report(diagnostic.kind, diagnostic.range, diagnostic.message).notes = diagnostic.notes;
    }
  }
  return typed;
}

}  // namespace recurve::frontend
