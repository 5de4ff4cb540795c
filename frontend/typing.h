// frontend/typing.h: the typing rules: which operands an operation takes and what it yields.
//
// Each function appends the term of one operation, or reports what does not fit and yields kNoTerm; operands that are
// kNoTerm yield kNoTerm in silence. Shapes are those of one example at one step.
//
//   elementwise   equal shapes, or one is a suffix of the other and is repeated: [H] with [D, H], [] with anything
//   product       [A, B] @ [B] = [A]     [A] @ [A, B] = [B]     [A, B] @ [B, C] = [A, C]
//   reduction     over the last axis: [H] to [], [D, H] to [D]
//   lead          the union of the operands' leads; two different time axes do not fit

#ifndef RECURVE_FRONTEND_TYPING_H_
#define RECURVE_FRONTEND_TYPING_H_

#include <string>
#include <vector>

#include "frontend/diagnostics.h"
#include "frontend/typed_program.h"

namespace recurve::frontend {

// Reports mistakes at the place the user can change. Inside the library that is where the user's text called it.
class Reporter {
 public:
  explicit Reporter(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  Diagnostic& Report(Kind kind, const Range& range, std::string message);
  // What is checked now on behalf of `range`: a call of a function, or a scan of a cell.
  void Enter(const Definition& definition, const Range& range) { calls_.push_back({&definition, range}); }
  void Leave() { calls_.pop_back(); }
  size_t depth() const { return calls_.size(); }
  bool IsActive(const Definition& definition) const;
  int errors() const { return diagnostics_.errors(); }

 private:
  struct Call {
    const Definition* definition;
    Range range;
  };
  Diagnostics& diagnostics_;
  std::vector<Call> calls_;
};

// The most operations of one entry, with functions inlined and loops unrolled.
inline constexpr size_t kMostTerms = 50'000;

class Typing {
 public:
  Typing(std::vector<Term>& terms, Reporter& reporter) : terms_(terms), reporter_(reporter) {}

  const Type& type(TermId id) const { return terms_[id].type; }

  TermId Add(Term term);
  // An input, state or parameter.
  TermId Declared(const Name& name, Type type);
  TermId Number(double value, const Range& range);
  TermId ExtentValue(Extent value, const Range& range);

  TermId Elementwise(ir::Op op, std::vector<TermId> args, const Range& range);
  TermId MatrixProduct(TermId a, TermId b, const Range& range);
  TermId Transpose(TermId a, const Range& range);
  TermId Outer(TermId a, TermId b, const Range& range);
  TermId Dot(TermId a, TermId b, const Range& range);
  // kReduceSum or kReduceMax over the last axis.
  TermId Reduce(ir::Op op, TermId a, const Range& range);
  std::vector<TermId> Split(TermId a, int64_t parts, const Range& range);
  TermId Concat(const std::vector<TermId>& parts, const Range& range);
  // Elements [start, end) of an axis, counted from the last.
  TermId Slice(TermId a, int axis, const Extent& start, const Extent& end, const Range& range);
  // One element of a vector.
  TermId Element(TermId a, const Extent& index, const Range& range);
  TermId Gather(TermId table, TermId index, const Range& range);
  TermId OneHot(TermId index, const Range& range);
  TermId Identity(const Extent& size, const Range& range);
  // The size of the last axis.
  TermId Size(TermId a, const Range& range);
  // `a` to a power known when the file is read; small whole ones are products.
  TermId Power(TermId a, double exponent, const Range& range);

  // Whether `from` is repeated to `to` by the elementwise rule.
  static bool Broadcasts(const Shape& from, const Shape& to);
  // Adds a note that says what a value is and where it comes from.
  void Explain(Diagnostic& diagnostic, TermId id);

 private:
  bool AllReal(const std::vector<TermId>& args, const Range& range);
  bool JoinLeads(const std::vector<TermId>& args, const Range& range, Lead* lead);
  bool WantsAxes(TermId a, size_t fewest, const Range& range);
  TermId Contract(TermId a, TermId b, const std::string& labels, Shape shape, const Range& range);
  TermId Mismatch(Kind kind, const Range& range, std::string_view verb, TermId a, std::string_view word, TermId b);

  std::vector<Term>& terms_;
  Reporter& reporter_;
};

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_TYPING_H_
