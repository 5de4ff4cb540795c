// frontend/lower_terms.h: terms of one definition to nodes of one graph.
//
// Here the batch and time axes appear: a term [4*H] with lead {batch} becomes a node [B, 32]. Only terms that are asked
// for are translated, each once.

#ifndef RECURVE_FRONTEND_LOWER_TERMS_H_
#define RECURVE_FRONTEND_LOWER_TERMS_H_

#include <functional>
#include <vector>

#include "frontend/diagnostics.h"
#include "frontend/typed_program.h"
#include "ir/builder.h"

namespace recurve::frontend {

// Reports every term whose extents are not positive whole numbers within the limits, or whose range leaves its axis.
bool CheckNumbers(const TypedDefinition& definition, const Extents& numbers, Diagnostics& diagnostics);

// The value of a term that depends on numbers and extents alone.
double EvaluateNumber(const TypedDefinition& definition, TermId id, const Extents& numbers);

// The axes of a value with this lead: [T, B, ...shape].
ir::Shape FullShape(const Lead& lead, const Shape& shape, const Extents& numbers);

// What random numbers are functions of, in the graph that terms are translated into.
struct RandomSource {
  ir::Expr seed;  // []
  ir::Expr rows;  // [B]: the number of an example
  // [T] for sequences of a model, [] in the step of a scan; null outside of it.
  std::function<ir::Expr(const std::string& time)> steps;
  int64_t* next_site = nullptr;  // one program has each number once
};

class TermLowering {
 public:
  // `scan_result` yields the node of a result of a scan; a step has none.
  using ScanResults = std::function<ir::Expr(const ScanResultOf&)>;
  TermLowering(ir::Graph& graph, const TypedDefinition& definition, const Extents& numbers,
               ScanResults scan_result = nullptr);

  // What `random` is made of; wanted if a term is one. Read when a term is translated.
  void UseRandom(std::function<RandomSource()> source) { random_source_ = std::move(source); }
  // Says which node an input, state or parameter is.
  void Bind(TermId id, ir::Expr node) { nodes_[id] = node; }
  ir::Expr Lower(TermId id);
  // Repeated along the axes of `lead` and `shape` that it lacks.
  ir::Expr LowerTo(TermId id, const Lead& lead, const Shape& shape);

 private:
  ir::Expr LowerOne(const Term& term);
  ir::Expr Contract(const Term& term);
  ir::Expr Random(const Term& term);
  ir::Expr Repeat(TermId id, const Lead& lead, const Shape& shape);

  ir::Graph& graph_;
  const TypedDefinition& definition_;
  const Extents& numbers_;
  ScanResults scan_result_;
  std::function<RandomSource()> random_source_;
  std::vector<ir::Expr> nodes_;  // of each term, once it is translated
};

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_LOWER_TERMS_H_
