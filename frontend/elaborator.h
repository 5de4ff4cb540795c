// frontend/elaborator.h: from one definition's syntax to its typed terms.
//
// The elaborator walks the statements of a cell, a model or a function once, keeps what each name stands for, and asks
// the typing rules (typing.h) for each operation. Functions are inlined at their calls, loops are unrolled, scanned
// cells are elaborated with the model's extents in place of their own.
//
// A function that nothing calls is walked with operands whose type is unknown: names and counts are checked all the
// same.

#ifndef RECURVE_FRONTEND_ELABORATOR_H_
#define RECURVE_FRONTEND_ELABORATOR_H_

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/ast.h"
#include "frontend/typed_program.h"
#include "frontend/typing.h"

namespace recurve::frontend {

// Who is called what, in the user's file and the library; the user's definition of a name wins.
class DefinitionIndex {
 public:
  explicit DefinitionIndex(const Ast& user);

  // A cell or model.
  const Definition* FindEntry(std::string_view name) const;
  // From inside the library only library functions are seen, so that no definition of the user's changes their meaning.
  const Definition* FindFunction(std::string_view name, size_t arguments, bool from_library) const;
  std::vector<std::string> CellNames() const;
  std::vector<std::string> FunctionNames() const;
  // The numbers of arguments that functions of this name have, primitive ones included.
  std::set<size_t> Arities(std::string_view name) const;

 private:
  std::vector<const Definition*> definitions_;  // the user's first
};

// What all elaborations of one run share.
struct Elaboration {
  const DefinitionIndex& index;
  Reporter& reporter;
  const Extents* numbers = nullptr;         // of the entry's extents; null while none are known
  std::set<const Definition*> called = {};  // functions with a caller
  int steps = 0;                            // expressions and statements walked so far
};

class Elaborator {
 public:
  explicit Elaborator(Elaboration& shared);

  // The axis of a cell's memory in the model that scans it.
  struct MemoryAxis {
    std::string name;
    bool has_lengths = false;
  };
  using MemoryAxes = std::map<std::string, MemoryAxis>;

  // A cell or model with its extents and the axes of its memories bound; empty when a mistake was reported.
  std::shared_ptr<const TypedDefinition> Run(const Definition& definition, const std::map<std::string, Extent>& extents,
                                             const MemoryAxes& memories = {});
  // A function with arguments of unknown type.
  void RunFunction(const Definition& function);

 private:
  // What a name stands for.
  struct Binding {
    enum class Kind : uint8_t { kLocal, kInput, kState, kParameter, kExtent, kInstance };
    Kind kind = Kind::kLocal;
    TermId term = kNoTerm;
    Extent extent;   // of kExtent
    int index = -1;  // of kState: among the states; of kInstance: among `instances_`
    int scan = -1;   // of kLocal: the scan it is a result of
    Range range;
  };
  using Frame = std::map<std::string, Binding, std::less<>>;

  // An instance before its first scan determines all extents.
  struct PendingInstance {
    std::string name;
    const Definition* cell = nullptr;
    std::map<std::string, Extent> extents;
    int typed = -1;  // among the result's instances
    bool failed = false;
  };

  // Names. elaborate_statements.cpp
  Binding* Find(std::string_view name);
  void Use(const Binding& binding);
  bool Declare(const Name& name, Binding binding, std::string_view what);
  void DefineLocal(const Name& name, TermId term, int scan = -1);
  void DefineNext(const Name& name, TermId term);
  void ReportUnknown(const std::string& name, const Range& range);
  std::vector<std::string> VisibleNames() const;
  void ReportUnused();
  bool AsksForSeed() const;
  void CheckInterface();

  // Statements. elaborate_statements.cpp
  void Walk(const std::vector<Statement>& statements);
  void Walk(const Declaration& declaration);
  void Walk(const Equation& equation);
  void Walk(const Instance& instance);
  void Walk(const OutputStatement& output);
  void Walk(const LossStatement& loss);
  void Walk(const ReturnStatement& statement);
  void Walk(const std::unique_ptr<Loop>& loop);
  void DeclareInitialValue(const Declaration& declaration);
  bool IsNumber(TermId id) const;
  void SetDistribution(const Declaration& declaration, TypedParameter& parameter);
  void Misplaced(const Range& range, std::string_view what);
  bool Exhausted(const Range& range);

  // Scans. elaborate_scans.cpp
  void Walk(const ScanStatement& scan);
  int FindInstance(const CellUse& use, const std::string& name);
  int AddInstance(const CellUse& use, const std::string& name);
  MemoryAxes MemoriesOf(const Definition& cell, const std::vector<TermId>& sequences) const;
  bool Instantiate(PendingInstance& pending, const ScanStatement& scan, const std::vector<TermId>& sequences);
  bool CheckSequences(const ScanStatement& scan, const Definition& cell, const std::vector<TermId>& sequences,
                      TypedScan& typed);
  bool CheckReset(const ScanStatement& scan, TypedScan& typed);
  bool CheckShapes(const ScanStatement& scan, const TypedDefinition& cell, const std::vector<TermId>& sequences);
  bool TakeStates(const ScanStatement& scan, const TypedDefinition& cell, TypedScan& typed);
  TermId FinalState(int scan, int state, const Range& range);

  // Expressions. elaborate_expressions.cpp
  TermId Evaluate(const Expr& expr);
  std::vector<TermId> EvaluateAll(const Expr& expr);
  TermId EvaluateName(const Expr& expr);
  TermId EvaluateNext(const Expr& expr);
  TermId EvaluateFinal(const Expr& expr);
  TermId EvaluateBinary(const Expr& expr);
  TermId EvaluateIndex(const Expr& expr);
  std::vector<TermId> EvaluateCall(const Expr& expr);
  std::vector<TermId> EvaluateSplit(const Expr& expr);
  TermId EvaluateDelay(const Expr& expr, TermId value, int64_t steps);

  // Sequences. elaborate_sequences.cpp
  struct SequenceFunction {
    std::string_view name;
    TermId (Elaborator::*make)(TermId a, const Range& range);
  };
  static std::span<const SequenceFunction> SequenceFunctions();
  static const SequenceFunction* FindSequenceFunction(std::string_view name);  // or null
  TypedAxis& AxisOf(const std::string& time);
  bool HasSteps(TermId a, const Range& range);
  bool IsOfOneStep(TermId a, const Range& range, std::string_view what);
  TermId Step(TermId a, const Range& range);
  TermId Length(TermId a, const Range& range);
  TermId Random(TermId a, const Range& range);
  TermId RandomOnce(TermId a, const Range& range);
  TermId SumOverSteps(TermId a, const Range& range);
  TermId MaxOverSteps(TermId a, const Range& range);
  TermId Last(TermId a, const Range& range);
  TermId Mask(TermId a, const Range& range);
  TermId WithCondition(TermId condition, TermId a, TermId b, const Range& range);
  TermId WithinLength(TermId a, double otherwise, const Range& range);
  TermId OverSteps(ir::Op op, TermId a, const Range& range);
  void DeclareLengths(const Declaration& declaration);
  std::vector<TermId> Inline(const Definition& function, const std::vector<TermId>& args, const Range& range);
  void ReportUnknownFunction(const Expr& expr);
  std::optional<Extent> EvaluateExtent(const Expr& expr);
  bool IsExtent(const Expr& expr);
  std::optional<Shape> EvaluateShape(const std::vector<Expr>& exprs);

  Elaboration& shared_;
  Reporter& reporter_;
  TypedDefinition result_;
  Typing typing_;
  const Definition* definition_ = nullptr;
  MemoryAxes memories_;
  const std::vector<Statement>* body_ = nullptr;  // of the definition or of the function that is inlined
  std::vector<Frame> frames_;
  size_t base_ = 0;     // the first frame that is visible: a function sees its arguments alone
  std::string prefix_;  // of names of parameters and scans inside loops: "l1."
  std::vector<PendingInstance> instances_;
  struct Site {
    std::string_view what;
    std::string name;
    Range range;
  };
  std::vector<Site> sites_;  // everything that wants to be used
  std::set<std::pair<const Source*, uint32_t>> used_;
  std::map<int, Range> assigned_;                        // states that have an equation, and where
  std::vector<TermId>* returned_ = nullptr;              // of the function that is inlined
  Range loss_range_;                                     // of the first loss
  std::map<std::pair<TermId, int64_t>, TermId> delays_;  // what delayed values are
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_ELABORATOR_H_
