// frontend/builtins.cpp: the table of primitive functions.

#include "frontend/builtins.h"

#include <algorithm>
#include <iterator>

namespace recurve::frontend {
namespace {

using Args = std::vector<TermId>;

template <ir::Op op>
TermId ApplyElementwise(Typing& typing, const Args& args, const Range& range) {
  return typing.Elementwise(op, args, range);
}

std::vector<Builtin> MakeBuiltins() {
  return {
#define UNARY(Kind, text, ...) {text, 1, ApplyElementwise<ir::Op::k##Kind>},
#define BINARY(Kind, text, ...) {text, 2, ApplyElementwise<ir::Op::k##Kind>},
#define TERNARY(Kind, text, ...) {text, 3, ApplyElementwise<ir::Op::k##Kind>},
#include "ir/ops.def"
      {"sum", 1, [](Typing& t, const Args& a, const Range& r) { return t.Reduce(ir::Op::kReduceSum, a[0], r); }},
      {"max", 1, [](Typing& t, const Args& a, const Range& r) { return t.Reduce(ir::Op::kReduceMax, a[0], r); }},
      {"size", 1, [](Typing& t, const Args& a, const Range& r) { return t.Size(a[0], r); }},
      {"dot", 2, [](Typing& t, const Args& a, const Range& r) { return t.Dot(a[0], a[1], r); }},
      {"outer", 2, [](Typing& t, const Args& a, const Range& r) { return t.Outer(a[0], a[1], r); }},
      {"transpose", 1, [](Typing& t, const Args& a, const Range& r) { return t.Transpose(a[0], r); }},
      {"concat", kAnyArity, [](Typing& t, const Args& a, const Range& r) { return t.Concat(a, r); }},
      {"one_hot", 1, [](Typing& t, const Args& a, const Range& r) { return t.OneHot(a[0], r); }},
  };
}

constexpr std::string_view kPlanned[] = {
    "argmax",  "argmin", "attention", "beam",   "conv",  "cumsum",     "lengths", "pad",   "reshape",
    "reverse", "roll",   "shift",     "sample", "stack", "custom_vjp", "diag",    "trace",
};

}  // namespace

const std::vector<Builtin>& Builtins() {
  static const std::vector<Builtin> builtins = MakeBuiltins();
  return builtins;
}

const Builtin* FindBuiltin(std::string_view name, size_t arguments) {
  for (const Builtin& builtin : Builtins()) {
    bool fits = builtin.arity == kAnyArity ? arguments > 0 : builtin.arity == static_cast<int>(arguments);
    if (fits && builtin.name == name) return &builtin;
  }
  return nullptr;
}

bool IsPlanned(std::string_view name) { return std::ranges::find(kPlanned, name) != std::end(kPlanned); }

}  // namespace recurve::frontend
