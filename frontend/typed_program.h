// frontend/typed_program.h: what the checker makes of a definition: operations of the tensor language with extents that
// are still names.
//
// A term is one node of ir/ops.def for one example at one step: `W @ x` is a contraction "oi,i->o" although x will be
// [T, B, I]. Which terms have a batch and a time axis is their `Lead`; the graph builder puts those axes in front of
// everything. Functions are inlined and loops unrolled, so that a list of terms is all that is left to translate.
//
//   x: [I]  lead {batch}     W: [4*H, I]  lead {}     W @ x: [4*H]  lead {batch}

#ifndef RECURVE_FRONTEND_TYPED_PROGRAM_H_
#define RECURVE_FRONTEND_TYPED_PROGRAM_H_

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "frontend/ast.h"
#include "frontend/extent.h"
#include "ir/graph.h"

namespace recurve::frontend {

// The axes in front of a value's own: none (a parameter), the batch, or a time axis and the batch.
struct Lead {
  bool batch = false;
  std::string time;  // only with `batch`
  bool operator==(const Lead&) const = default;
};

using Shape = std::vector<Extent>;

struct Type {
  ir::Element element = ir::Element::kReal;
  Shape shape;
  Extent classes;  // of a kIndex value: it is in [0, classes)
  Lead lead;
};

// "[4*H, I]", "int[V]".
std::string Text(const Type& type);
std::string Text(const Shape& shape);

// An index into the terms of one definition. kNoTerm stands for a value whose mistake is already reported: what is
// computed from it is kNoTerm too.
using TermId = int;
inline constexpr TermId kNoTerm = -1;

// The axis of a reduction over the steps of a sequence.
inline constexpr int kOverSteps = -1;

// One result of a scan: the last value of a state, or an output over time.
struct ScanResultOf {
  int scan = 0;
  int result = 0;  // states first, then outputs
};

struct Term {
  ir::Op op = ir::Op::kConstant;
  std::vector<TermId> args;
  Type type;
  // kConstant and kIota: the number, or the extent whose value it is. kSlice: the start.
  std::variant<double, Extent> value = 0.0;
  // kSlice, kConcat: counted from the last axis, 0. kReduceSum, kReduceMax: kOverSteps or the last one.
  int axis = 0;
  std::string labels;  // kContract: "oi,i->o"; kExtent: the time axis
  bool once = false;   // kRandom: the same numbers at every step of a sequence
  ScanResultOf scan;   // kScanResult
  std::string label;   // what the source calls the value; may be empty
  Range range;         // where it is declared, defined or written
  bool declared = false;
};

struct TypedInput {
  std::string name;
  TermId term = kNoTerm;
};

struct TypedParameter {
  std::string name;
  TermId term = kNoTerm;
  bool trained = true;
  ir::Init::Kind distribution = ir::Init::Kind::kConstant;
  TermId a = kNoTerm, b = kNoTerm;  // scalars that depend on extents alone; kNoTerm is 0
};

struct TypedState {
  std::string name;
  TermId current = kNoTerm;
  TermId next = kNoTerm;
  TermId initial = kNoTerm;  // kNoTerm: given by the caller, zero unless it says otherwise
};

struct TypedOutput {
  std::string name;
  TermId term = kNoTerm;
  Range range;
};

struct TypedDefinition;

// A cell with its parameters, which scans may share.
struct TypedInstance {
  std::string name;
  std::shared_ptr<const TypedDefinition> cell;  // extents are expressions in the model's names
  Range range;
};

struct TypedScan {
  std::string name;
  int instance = 0;
  bool reverse = false;
  std::string time;
  std::vector<TermId> sequences;  // one per input of the cell; one without a time axis is the same at every step
  std::vector<TermId> initial;    // one per state, or kNoTerm where the cell's own rule holds
  TermId reset = kNoTerm;         // where it is not 0 the states begin anew
  Range range;
};

// The steps of sequences. A model has one per time axis, a cell one without a name: the steps it is scanned over.
struct TypedAxis {
  std::string name;
  TermId steps = kNoTerm;    // the number of a step, once it is asked for
  TermId lengths = kNoTerm;  // how many steps the sequence of an example has; kNoTerm: as many as there are
};

struct TypedDefinition {
  std::string name;
  bool is_model = false;
  Range range;  // of the name
  std::vector<Name> extents;
  std::vector<Term> terms;
  std::vector<TypedInput> inputs;
  std::vector<TypedState> states;
  std::vector<TypedParameter> parameters;
  std::vector<TypedOutput> outputs;
  TermId loss = kNoTerm;
  std::vector<TypedInstance> instances;
  std::vector<TypedScan> scans;
  std::vector<TypedAxis> axes;

  // Whether it asks for random numbers itself; cells that it scans are not looked at.
  bool IsRandom() const {
    return std::ranges::any_of(terms, [](const Term& term) { return term.op == ir::Op::kRandom; });
  }
  // Null if nothing was asked or said of it.
  const TypedAxis* FindAxis(std::string_view time) const {
    auto found = std::ranges::find(axes, time, &TypedAxis::name);
    return found == axes.end() ? nullptr : &*found;
  }
};

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_TYPED_PROGRAM_H_
