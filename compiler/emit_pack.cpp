// compiler/emit_pack.cpp: a loop over blocks and a function that copies one column.

#include "compiler/emit_pack.h"

namespace recurve {
namespace {

// void(ptr to, word to_stride, ptr from, word depth_stride, word unit_stride, word depth, word lanes, word valid,
//      word lane_stride):
// to[k * to_stride + l * lane_stride] = l < valid ? from[k * depth_stride + l * unit_stride] : 0, rounded to the
// storage
llvm::Function* PackColumn(EmitModule& emit, Storage storage) {
  llvm::Function*& function = emit.pack_columns[storage];
  if (function != nullptr) return function;
  const EmitTypes& types = emit.types;
  function = emit.NewFunction("pack_column",
                              {types.pointer, types.size, types.pointer, types.size, types.size, types.size, types.size,
                               types.size, types.size},
                              true);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(types.context, "entry", function));
  LaneBuilder scalar(builder, emit.Shape(1));
  llvm::Type* stored = types.Stored(storage);
  auto arg = [&](int i) { return function->getArg(static_cast<unsigned>(i)); };
  EmitLoop(builder, types.Word(0), arg(6), types.Word(1), [&](Value* lane) {
    Value* valid = builder.CreateICmpSLT(lane, arg(7));
    Value* lane_offset = builder.CreateSelect(valid, builder.CreateMul(lane, arg(4)), types.Word(0));
    Value* zero = llvm::Constant::getNullValue(stored);
    Value* to_lane = builder.CreateGEP(stored, arg(0), builder.CreateMul(lane, arg(8)));
    EmitIf(builder, valid, [&] {
      EmitLoop(builder, types.Word(0), arg(5), types.Word(1), [&](Value* k) {
        Value* from =
            builder.CreateGEP(types.real, arg(2), builder.CreateAdd(builder.CreateMul(k, arg(3)), lane_offset));
        Value* to = builder.CreateGEP(stored, to_lane, builder.CreateMul(k, arg(1)));
        EmitVectorStore(scalar, builder.CreateLoad(types.real, from), to, types.Word(1), Size{}, 0, storage);
      });
    });
    EmitIf(builder, builder.CreateNot(valid), [&] {
      EmitLoop(builder, types.Word(0), arg(5), types.Word(1), [&](Value* k) {
        Value* to = builder.CreateGEP(stored, to_lane, builder.CreateMul(k, arg(1)));
        builder.CreateStore(zero, to);
      });
    });
  });
  builder.CreateRetVoid();
  return function;
}

}  // namespace

void EmitPacking(EmitModule& emit, llvm::IRBuilder<>& builder, const Panels& panels, Value* packed,
                 const std::function<Value*(int)>& buffer, Value* begin, Value* end) {
  auto word = [&](int64_t value) { return emit.types.Word(value); };
  llvm::Type* real = emit.types.real;
  llvm::Type* stored = emit.types.Stored(panels.format.storage);
  Value* panel = builder.CreateGEP(builder.getInt8Ty(), packed, word(panels.offset_bytes));
  int first = 0;
  for (int chunk : panels.chunks) {
    for (int c = 0; c < chunk; ++c) {
      int column = first + c;
      // Of a pair the first column has the lower halves of 32-bit words.
      const bool paired = panels.format.IsPaired(c, chunk);
      const bool upper = c % 2 != 0;
      const int half = upper == emit.module.getDataLayout().isLittleEndian() ? 1 : 0;
      const int64_t place = paired ? int64_t{c & ~1} * panels.lanes + half : int64_t{c} * panels.lanes;
      const PanelGroup& group = panels.groups[column / panels.vectors];
      int64_t start = 0;
      for (const OffsetTerm& term : group.source.offset) start += term.stride.factor * term.shift;
      Value* source = builder.CreateGEP(real, buffer(group.source.buffer), word(start));
      EmitLoop(builder, begin, end, word(1), [&](Value* block) {
        // Units [unit, unit + lanes) of the group; those beyond its end are zero.
        Value* unit = builder.CreateMul(
            builder.CreateAdd(builder.CreateMul(block, word(panels.vectors)), word(column % panels.vectors)),
            word(panels.lanes));
        Value* left = builder.CreateSub(word(panels.units), unit);
        Value* to = builder.CreateGEP(stored, panel,
                                      builder.CreateAdd(builder.CreateMul(block, word(panels.block_elements())),
                                                        word(panels.depth * first * panels.lanes + place)));
        Value* from =
            builder.CreateGEP(real, source, builder.CreateMul(unit, word(group.source.axes[1].stride.factor)));
        builder.CreateCall(PackColumn(emit, panels.format.storage),
                           {to, word(int64_t{chunk} * panels.lanes), from, word(group.source.axes[0].stride.factor),
                            word(group.source.axes[1].stride.factor), word(panels.depth), word(panels.lanes), left,
                            word(paired ? 2 : 1)});
      });
    }
    first += chunk;
  }
}

}  // namespace recurve
