// compiler/lanes.cpp: vectors of one target: constants, formulas and sums over lanes; the operators of lane_math.h and
// those of its functions that are an instruction or two.
//
// min, max and floor are chosen by what they cost. llvm.minimum orders signed zeros, which takes x86 five instructions
// for two variables where a comparison and two selects take three, but one against a constant other than zero.
// llvm.floor is a library call before SSE4.1, so that floor is arithmetic.

#include "compiler/lanes.h"

#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "compiler/lane_math.h"
#include "ir/internal_error.h"

namespace recurve {

llvm::Type* LaneBuilder::element_type() const {
  return shape_.element_bytes == 8 ? ir_.getDoubleTy() : ir_.getFloatTy();
}

llvm::Type* LaneBuilder::type() const {
  return shape_.width == 1 ? element_type() : llvm::FixedVectorType::get(element_type(), shape_.width);
}

llvm::Type* LaneBuilder::bits_type() const {
  llvm::Type* element = ir_.getIntNTy(8 * shape_.element_bytes);
  return shape_.width == 1 ? element : llvm::FixedVectorType::get(element, shape_.width);
}

Lane LaneBuilder::Constant(double value) { return Wrap(llvm::ConstantFP::get(type(), value)); }

Lane LaneBuilder::Splat(llvm::Value* scalar) {
  return Wrap(shape_.width == 1 ? scalar : ir_.CreateVectorSplat(shape_.width, scalar));
}

Lane LaneBuilder::FusedMultiplyAdd(Lane a, Lane b, Lane c) {
  auto intrinsic = shape_.fused_multiply_add ? llvm::Intrinsic::fma : llvm::Intrinsic::fmuladd;
  return Wrap(ir_.CreateIntrinsic(intrinsic, {type()}, {a.value, b.value, c.value}));
}

// Philox 4x32-10 in lanes of 32 bits; products take twice as many.
Lane LaneBuilder::Random(std::span<const Lane> operands) {
  auto shaped = [&](llvm::Type* element) -> llvm::Type* {
    return shape_.width == 1 ? element : llvm::FixedVectorType::get(element, shape_.width);
  };
  llvm::Type *word = shaped(ir_.getInt32Ty()), *wide = shaped(ir_.getInt64Ty());
  auto number = [&](uint32_t value) { return llvm::ConstantInt::get(word, value); };
  auto to_word = [&](Lane a) { return ir_.CreateFPToSI(a.value, word); };
  llvm::Value* key[] = {to_word(operands[0]), to_word(operands[1])};
  llvm::Value* counter[] = {to_word(operands[2]), to_word(operands[3]), to_word(operands[4]), number(0)};
  for (uint32_t round = 0; round < 10; ++round) {
    auto product = [&](llvm::Value* a, uint32_t factor) {
      return ir_.CreateMul(ir_.CreateZExt(a, wide), llvm::ConstantInt::get(wide, factor));
    };
    auto low = [&](llvm::Value* a) { return ir_.CreateTrunc(a, word); };
    auto high = [&](llvm::Value* a) { return low(ir_.CreateLShr(a, llvm::ConstantInt::get(wide, 32))); };
    auto round_key = [&](int i, uint32_t weyl) { return ir_.CreateAdd(key[i], number(weyl * round)); };
    llvm::Value *a = product(counter[0], 0xD2511F53), *b = product(counter[2], 0xCD9E8D57);
    llvm::Value* next[] = {ir_.CreateXor(ir_.CreateXor(high(b), counter[1]), round_key(0, 0x9E3779B9)), low(b),
                           ir_.CreateXor(ir_.CreateXor(high(a), counter[3]), round_key(1, 0xBB67AE85)), low(a)};
    std::ranges::copy(next, counter);
  }
  llvm::Value* upper = ir_.CreateLShr(counter[0], number(8));
  return Wrap(ir_.CreateFMul(ir_.CreateSIToFP(upper, type()), Constant(0x1p-24).value));
}

Lane LaneBuilder::Elementwise(ir::Op op, std::span<const Lane> operands) {
  using namespace lane_math;
  if (op == ir::Op::kRandom) return Random(operands);
  if (static_cast<int>(operands.size()) != ir::ElementwiseArity(op))
    StopOnInternalError("an elementwise operation is given another number of operands than its row has");
  const Lane a = operands[0];
  const Lane b = operands.size() > 1 ? operands[1] : Lane{};
  const Lane c = operands.size() > 2 ? operands[2] : Lane{};
  switch (op) {
#define UNARY(Kind, text, cost, value, ...) \
  case ir::Op::k##Kind: return value;
#define BINARY(Kind, text, cost, value, ...) \
  case ir::Op::k##Kind: return value;
#define TERNARY(Kind, text, cost, value, ...) \
  case ir::Op::k##Kind: return value;
#define STRUCTURAL(Kind, text) case ir::Op::k##Kind:
#include "ir/ops.def"
    break;
  }
  StopOnInternalError("a structural operation has no value column");
}

template <typename Combine>
llvm::Value* LaneBuilder::Fold(llvm::Value* value, double identity, Combine combine) {
  for (int width = shape_.width; width > 1;) {
    int half = (width + 1) / 2;
    // Lanes at and above `width` are those of `padding`, the shuffle's second operand.
    llvm::Value* padding = llvm::ConstantFP::get(value->getType(), identity);
    std::vector<int> low(half), high(half);
    std::iota(low.begin(), low.end(), 0);
    std::iota(high.begin(), high.end(), half);
    LaneShape half_shape = shape_;
    half_shape.width = half;
    LaneBuilder halves(ir_, half_shape);
    auto part = [&](llvm::ArrayRef<int> lanes) {
      if (half == 1) return halves.Wrap(ir_.CreateExtractElement(value, lanes[0]));
      return halves.Wrap(ir_.CreateShuffleVector(value, padding, lanes));
    };
    Lane upper = part(high);
    value = combine(part(low), upper).value;
    width = half;
  }
  return value;
}

llvm::Value* LaneBuilder::LanesOf(llvm::Value* vector, int first) {
  if (vector->getType() == type()) return vector;
  if (shape_.width == 1) return ir_.CreateExtractElement(vector, static_cast<uint64_t>(first));
  std::vector<int> order(static_cast<size_t>(shape_.width));
  std::iota(order.begin(), order.end(), first);
  return ir_.CreateShuffleVector(vector, order);
}

llvm::Value* LaneBuilder::HorizontalSum(Lane a) {
  return Fold(a.value, -0.0, [](Lane low, Lane high) { return lane_math::operator+(low, high); });
}

llvm::Value* LaneBuilder::HorizontalMax(Lane a) {
  return Fold(a.value, -std::numeric_limits<double>::infinity(),
              [](Lane low, Lane high) { return lane_math::max(low, high); });
}

namespace lane_math {
namespace {

llvm::IRBuilder<>& Ir(Lane a) { return a.lanes->ir(); }
llvm::IRBuilder<>& Ir(Mask a) { return a.lanes->ir(); }
Lane Like(Lane a, double value) { return a.lanes->Constant(value); }
Mask MaskOf(Lane a, llvm::Value* value) { return {a.lanes, value}; }

Lane Unary(llvm::Intrinsic::ID intrinsic, Lane a) {
  return a.lanes->Wrap(Ir(a).CreateUnaryIntrinsic(intrinsic, a.value));
}

Lane Binary(llvm::Intrinsic::ID intrinsic, Lane a, Lane b) {
  return a.lanes->Wrap(Ir(a).CreateBinaryIntrinsic(intrinsic, a.value, b.value));
}

// Against a constant that is not NaN only `a` can be; against zero the intrinsics do not stay one instruction.
Lane Bound(llvm::Intrinsic::ID intrinsic, Lane a, double b, Mask beyond) {
  // Without a select llvm.minimum asks with a branch whether `a` is a number.
  const LaneShape& shape = a.lanes->shape();
  if (b == 0.0 || (shape.width == 1 && !shape.scalar_selects)) return select(beyond, b, a);
  return Binary(intrinsic, a, Like(a, b));
}

}  // namespace

Lane operator-(Lane a) { return a.lanes->Wrap(Ir(a).CreateFNeg(a.value)); }
Lane operator+(Lane a, Lane b) { return a.lanes->Wrap(Ir(a).CreateFAdd(a.value, b.value)); }
Lane operator-(Lane a, Lane b) { return a.lanes->Wrap(Ir(a).CreateFSub(a.value, b.value)); }
Lane operator*(Lane a, Lane b) { return a.lanes->Wrap(Ir(a).CreateFMul(a.value, b.value)); }
Lane operator/(Lane a, Lane b) { return a.lanes->Wrap(Ir(a).CreateFDiv(a.value, b.value)); }
Lane operator+(Lane a, double b) { return a + Like(a, b); }
Lane operator-(Lane a, double b) { return a - Like(a, b); }
Lane operator*(Lane a, double b) { return a * Like(a, b); }
Lane operator/(Lane a, double b) { return a / Like(a, b); }
Lane operator+(double a, Lane b) { return Like(b, a) + b; }
Lane operator-(double a, Lane b) { return Like(b, a) - b; }
Lane operator*(double a, Lane b) { return Like(b, a) * b; }
Lane operator/(double a, Lane b) { return Like(b, a) / b; }

Mask operator<(Lane a, Lane b) { return MaskOf(a, Ir(a).CreateFCmpOLT(a.value, b.value)); }
Mask operator<=(Lane a, Lane b) { return MaskOf(a, Ir(a).CreateFCmpOLE(a.value, b.value)); }
Mask operator>(Lane a, Lane b) { return MaskOf(a, Ir(a).CreateFCmpOGT(a.value, b.value)); }
Mask operator>=(Lane a, Lane b) { return MaskOf(a, Ir(a).CreateFCmpOGE(a.value, b.value)); }
Mask operator==(Lane a, Lane b) { return MaskOf(a, Ir(a).CreateFCmpOEQ(a.value, b.value)); }
Mask operator!=(Lane a, Lane b) { return MaskOf(a, Ir(a).CreateFCmpUNE(a.value, b.value)); }
Mask operator<(Lane a, double b) { return a < Like(a, b); }
Mask operator<=(Lane a, double b) { return a <= Like(a, b); }
Mask operator>(Lane a, double b) { return a > Like(a, b); }
Mask operator>=(Lane a, double b) { return a >= Like(a, b); }
Mask operator==(Lane a, double b) { return a == Like(a, b); }
Mask operator!=(Lane a, double b) { return a != Like(a, b); }

Mask operator!(Mask a) { return {a.lanes, Ir(a).CreateNot(a.value)}; }
Mask operator&(Mask a, Mask b) { return {a.lanes, Ir(a).CreateAnd(a.value, b.value)}; }
Mask operator|(Mask a, Mask b) { return {a.lanes, Ir(a).CreateOr(a.value, b.value)}; }

Lane select(Mask condition, Lane yes, Lane no) {
  const LaneShape& shape = yes.lanes->shape();
  if (shape.width == 1 && !shape.scalar_selects) {
    llvm::IRBuilder<>& ir = Ir(condition);
    llvm::Type* bits = ir.getIntNTy(static_cast<unsigned>(8 * shape.element_bytes));
    auto if_set = [&](llvm::Value* mask, Lane lane) { return ir.CreateAnd(mask, ir.CreateBitCast(lane.value, bits)); };
    llvm::Value* mask = ir.CreateSExt(condition.value, bits);
    llvm::Value* chosen = ir.CreateOr(if_set(mask, yes), if_set(ir.CreateNot(mask), no));
    return yes.lanes->Wrap(ir.CreateBitCast(chosen, yes.value->getType()));
  }
  return yes.lanes->Wrap(Ir(condition).CreateSelect(condition.value, yes.value, no.value));
}
Lane select(Mask condition, Lane yes, double no) { return select(condition, yes, Like(yes, no)); }
Lane select(Mask condition, double yes, Lane no) { return select(condition, Like(no, yes), no); }
Lane select(Mask condition, double yes, double no) {
  return select(condition, condition.lanes->Constant(yes), condition.lanes->Constant(no));
}

Lane abs(Lane a) { return Unary(llvm::Intrinsic::fabs, a); }
Lane sign(Lane a) { return select(a > 0.0, 1.0, select(a < 0.0, -1.0, a)); }
Lane copysign(Lane magnitude, Lane sign) { return Binary(llvm::Intrinsic::copysign, magnitude, sign); }
Lane sqrt(Lane a) { return Unary(llvm::Intrinsic::sqrt, a); }

Lane floor(Lane a) {
  // From here on every number is an integer, and adding it rounds a smaller number to one.
  const double integers = a.lanes->shape().element_bytes == 8 ? 0x1p52 : 0x1p23;
  Lane magnitude = abs(a);
  Lane nearest = copysign((magnitude + integers) - integers, a);
  Lane below = select(nearest > a, nearest - 1.0, nearest);
  return select(magnitude < integers, below, a);
}

Lane min(Lane a, Lane b) { return select(a != a, a, select(a < b, a, b)); }
Lane max(Lane a, Lane b) { return select(a != a, a, select(a > b, a, b)); }
Lane min(Lane a, double b) { return Bound(llvm::Intrinsic::minimum, a, b, a > b); }
Lane max(Lane a, double b) { return Bound(llvm::Intrinsic::maximum, a, b, a < b); }

}  // namespace lane_math
}  // namespace recurve
