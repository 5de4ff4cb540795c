// frontend/ast.h: the syntax tree: what was written, before it means anything.
//
// One struct for every expression, told apart by its kind, so that walking is one loop over children; one struct for
// every statement, in a variant. Extents in shapes are expressions like any other; the checker reads them as extents.
//
//   z = sigmoid(W @ x + b)      Equation{targets {z}, value Call "sigmoid"(Binary + (Binary @ (W, x), b))}

#ifndef RECURVE_FRONTEND_AST_H_
#define RECURVE_FRONTEND_AST_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "frontend/source.h"

namespace recurve::frontend {

struct Name {
  std::string text;
  Range range;
};

enum class Operator : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kProduct,
  kPower,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kEqual,
  kNotEqual
};
// As it is written: "+", "@", ...
std::string_view Spelling(Operator op);

struct Expr {
  enum class Kind : uint8_t {
    kError,      // a mistake already reported
    kNumber,     // number
    kName,       // text
    kNext,       // text': the next value of a state
    kFinal,      // text.state.member: the last value of a state of a scan
    kCall,       // text(children)
    kNegate,     // -child
    kBinary,     // child op child
    kTranspose,  // child^T
    kIndex,      // children[0][children[1], ...]; each index an expression or a kSpan
    kSpan,       // child:child, either of which may be kAll
    kAll,        // an end of a span that is not written
  };
  Kind kind = Kind::kError;
  Range range;
  std::string text;
  std::string member;
  double number = 0;
  Operator op = Operator::kAdd;
  int depth = 1;  // of the tree, for limits on recursion
  std::vector<Expr> children;
};

// input, state, param and const; `[...]` is `shape`, `int[V]` sets `classes`.
struct Declaration {
  enum class Kind : uint8_t { kInput, kState, kParameter, kConstant };
  Kind kind = Kind::kInput;
  Name name;
  std::vector<Expr> shape;
  std::optional<Expr> classes;
  std::optional<Name> time;          // `over T`
  std::optional<Name> lengths;       // `by n`, of the sequences over T
  std::optional<Expr> initial;       // of a state, `= expression`
  std::optional<Expr> distribution;  // of a parameter, `~ uniform(a, b)`: a call
};

// i, c' = value
struct Target {
  Name name;
  bool next = false;
};
struct Equation {
  std::vector<Target> targets;
  Expr value;
};

// lstm(H=H)
struct CellUse {
  Name cell;  // a cell, or an instance that `let` has named
  struct Argument {
    Name extent;
    Expr value;
  };
  std::vector<Argument> arguments;
  Range range;
};

// y = [reverse] scan use over sequences [from initial.state] [reset where]
struct ScanStatement {
  std::vector<Target> targets;
  CellUse use;
  bool reverse = false;
  std::vector<Expr> sequences;
  std::optional<Name> from;
  std::optional<Expr> reset;
  Range range;
};

// let name = use
struct Instance {
  Name name;
  CellUse use;
};

// output [name =] value
struct OutputStatement {
  std::optional<Name> name;
  Expr value;
};

struct LossStatement {
  Expr value;
  Range range;
};

struct ReturnStatement {
  std::vector<Expr> values;
};

struct Loop;
using Statement = std::variant<Declaration, Equation, ScanStatement, Instance, OutputStatement, LossStatement,
                               ReturnStatement, std::unique_ptr<Loop>>;

// repeat r in count { }: rounds 0 .. count-1; for l in first..count { }: rounds first .. count.
struct Loop {
  Name variable;
  bool is_for = false;
  std::optional<Expr> first;
  Expr count;
  std::vector<Statement> body;
  Range range;
};

struct Definition {
  enum class Kind : uint8_t { kCell, kModel, kFunction };
  Kind kind = Kind::kCell;
  Name name;
  std::vector<Name> parameters;  // extents of a cell or model, arguments of a function
  std::vector<Statement> body;   // of `fn f(x) = e` the statement `return e`
  Range range;
  bool broken = false;  // a statement had a mistake and is missing
};

struct Ast {
  std::shared_ptr<const Source> source;
  std::vector<Definition> definitions;
};

// Prints one statement a line with every operator in parentheses; the text parses to the same tree.
std::string Print(const Definition& definition);

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_AST_H_
