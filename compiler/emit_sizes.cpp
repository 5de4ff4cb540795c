// compiler/emit_sizes.cpp: products of axes, and the functions that callers size memory by.

#include "compiler/emit_sizes.h"

#include "runtime/abi.h"

namespace recurve {

Value* EmitSize(llvm::IRBuilder<>& builder, const EmitTypes& types, const Size& size, const AxisFunction& axis) {
  Value* value = types.Word(size.factor);
  for (const std::string& name : size.axes) value = builder.CreateMul(value, axis(name));
  return value;
}

Value* EmitChunkSteps(llvm::IRBuilder<>& builder, const EmitTypes& types, const Chunks& chunks,
                      const AxisFunction& axis) {
  Value* shortest = builder.CreateUDiv(types.Word(chunks.rows), EmitSize(builder, types, chunks.step_rows, axis));
  Value* whole = builder.CreateAnd(shortest, types.Word(-kMostStepsAtATime));
  shortest = builder.CreateSelect(builder.CreateICmpEQ(whole, types.Word(0)), shortest, whole);
  shortest = builder.CreateSelect(builder.CreateICmpEQ(shortest, types.Word(0)), types.Word(1), shortest);
  Value* steps = builder.CreateMul(shortest, types.Word(chunks.multiple));
  Value* all = axis(chunks.time);
  return builder.CreateSelect(builder.CreateICmpULT(steps, all), steps, all);
}

Value* EmitChunkCount(llvm::IRBuilder<>& builder, const EmitTypes& types, Value* all, Value* steps) {
  Value* full = builder.CreateUDiv(builder.CreateSub(all, types.Word(1)), steps);
  return builder.CreateAdd(full, types.Word(1));
}

Value* Regions::Add(const Buffer& buffer, int bytes) {
  auto bytes_of = [&](const Size& size) {
    return builder_.CreateMul(EmitSize(builder_, types_, size, axis_), types_.Word(bytes));
  };
  Value* guard = bytes_of(buffer.guard);
  Value* start = builder_.CreateAdd(end_, guard);
  Value* end = builder_.CreateAdd(builder_.CreateAdd(start, bytes_of(buffer.size)), guard);
  end_ =
      builder_.CreateAnd(builder_.CreateAdd(end, types_.Word(RECURVE_ALIGNMENT - 1)), types_.Word(-RECURVE_ALIGNMENT));
  end_ = builder_.CreateAdd(end_, types_.Word(kRegionGapBytes));
  return start;
}

void EmitBytes(EmitModule& emit, const std::string& name, const std::vector<Chunks>& chunks,
               const std::function<void(Regions&)>& add) {
  const EmitTypes& types = emit.types;
  llvm::FunctionType* type = llvm::FunctionType::get(types.size, {types.pointer}, false);
  llvm::Function* function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, name, emit.module);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  TranslateQuickly(types, *function);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(types.context, "entry", function));
  AxisFunction axis = [&](const std::string& wanted) -> Value* {
    for (const Chunks& one : chunks) {
      if (one.axis == wanted) return EmitChunkSteps(builder, types, one, axis);
      if (one.count != wanted || wanted.empty()) continue;
      Value* all = axis(AxisCutBy(one, chunks));
      return EmitChunkCount(builder, types, all, EmitChunkSteps(builder, types, one, axis));
    }
    for (size_t i = 0; i < emit.plan.axes.size(); ++i) {
      if (emit.plan.axes[i] != wanted) continue;
      return builder.CreateLoad(types.size, builder.CreateConstInBoundsGEP1_64(types.size, function->getArg(0), i));
    }
    return types.Word(0);
  };
  Regions regions(builder, types, axis);
  add(regions);
  builder.CreateRet(regions.Bytes());
}

void TranslateQuickly(const EmitTypes& types, llvm::Function& function) {
  if (types.word_bytes < 8) return;
  function.addFnAttr(llvm::Attribute::OptimizeNone);
  function.addFnAttr(llvm::Attribute::NoInline);  // the one demands the other
}

}  // namespace recurve
