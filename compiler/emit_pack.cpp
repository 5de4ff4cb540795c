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

struct PanelPacker {
  EmitModule& emit;
  llvm::IRBuilder<>& builder;
  const Panels& panels;
  Value* packed;
  const std::function<Value*(int)>& buffer;

  llvm::ConstantInt* Word(int64_t value) const { return emit.types.Word(value); }

  // Lanes [lane, lane + lanes) of a column of a chunk.
  struct Place {
    int64_t chunk_start;  // terms of the panel before the chunk's, in elements
    int chunk;
    int column;  // of the chunk
    int lane, lanes;
  };

  // Where a vector of units of a group, or its tail, stands in a block.
  Place PlaceOf(const BlockColumns& columns, int group, int vector) const {
    const auto lane = static_cast<int>(panels.LaneOf(columns, group, vector));
    const int width = vector < columns.vectors ? panels.lanes : WidthOf(columns.tail);
    int first = 0, column = lane / panels.lanes;
    for (int chunk : columns.chunks) {
      if (column < chunk) return {panels.depth * first * panels.lanes, chunk, column, lane % panels.lanes, width};
      first += chunk;
      column -= chunk;
    }
    return {};
  }

  // Units [unit, unit + valid) of a group fill the first lanes of a place; the others are zero.
  void Fill(Value* block, const Place& to, int group, Value* unit, Value* valid) {
    const PanelGroup& from = panels.groups[group];
    const bool paired = panels.format.IsPaired(to.column, to.chunk);
    const bool upper = to.column % 2 != 0;
    // Of a pair the first column has the lower halves of 32-bit words.
    const int half = upper == emit.module.getDataLayout().isLittleEndian() ? 1 : 0;
    const int64_t place = paired ? int64_t{to.column & ~1} * panels.lanes + half + 2 * to.lane
                                 : int64_t{to.column} * panels.lanes + to.lane;
    int64_t start = 0;
    for (const OffsetTerm& term : from.source.offset) start += term.stride.factor * term.shift;
    const int64_t depth_stride = from.source.axes[0].stride.factor, unit_stride = from.source.axes[1].stride.factor;
    Value* source = builder.CreateGEP(emit.types.real, buffer(from.source.buffer), Word(start));
    source = builder.CreateGEP(emit.types.real, source, builder.CreateMul(unit, Word(unit_stride)));
    Value* panel = builder.CreateGEP(builder.getInt8Ty(), packed, Word(panels.offset_bytes));
    Value* address = builder.CreateGEP(
        emit.types.Stored(panels.format.storage), panel,
        builder.CreateAdd(builder.CreateMul(block, Word(panels.block_elements())), Word(to.chunk_start + place)));
    builder.CreateCall(PackColumn(emit, panels.format.storage),
                       {address, Word(int64_t{to.chunk} * panels.lanes), source, Word(depth_stride), Word(unit_stride),
                        Word(panels.depth), Word(to.lanes), valid, Word(paired ? 2 : 1)});
  }

  // Blocks [begin, end); units beyond the last one are zero.
  void PackBlocks(Value* begin, Value* end) {
    const int vectors = panels.block.vectors;
    for (int group = 0; group < static_cast<int>(panels.groups.size()); ++group) {
      for (int v = 0; v < vectors; ++v) {
        EmitLoop(builder, begin, end, Word(1), [&](Value* block) {
          Value* vector = builder.CreateAdd(builder.CreateMul(block, Word(vectors)), Word(v));
          Value* unit = builder.CreateMul(vector, Word(panels.lanes));
          Fill(block, PlaceOf(panels.block, group, v), group, unit, builder.CreateSub(Word(panels.units), unit));
        });
      }
    }
  }

  void PackRest() {
    const BlockColumns& rest = *panels.rest;
    const int64_t block = panels.blocks() - 1, first_unit = block * panels.block_units();
    const auto groups = static_cast<int>(panels.groups.size());
    for (int group = 0; group < groups; ++group) {
      for (int v = 0; v < rest.vectors; ++v)
        Fill(Word(block), PlaceOf(rest, group, v), group, Word(first_unit + int64_t{v} * panels.lanes),
             Word(panels.lanes));
    }
    if (rest.tail == 0) return;
    // Lanes of the last vector that no group is left for are zero.
    const int in_vector = panels.lanes / WidthOf(rest.tail);
    for (int group = 0; group < (groups + in_vector - 1) / in_vector * in_vector; ++group) {
      const bool is_there = group < groups;
      Fill(Word(block), PlaceOf(rest, group, rest.vectors), is_there ? group : 0, Word(panels.units - rest.tail),
           Word(is_there ? rest.tail : 0));
    }
  }
};

}  // namespace

void EmitPacking(EmitModule& emit, llvm::IRBuilder<>& builder, const Panels& panels, Value* packed,
                 const std::function<Value*(int)>& buffer, Value* begin, Value* end) {
  PanelPacker packer{emit, builder, panels, packed, buffer};
  if (!panels.rest) return packer.PackBlocks(begin, end);
  Value* last = emit.types.Word(panels.blocks() - 1);
  packer.PackBlocks(begin, builder.CreateSelect(builder.CreateICmpSLT(end, last), end, last));
  Value* has_last = builder.CreateAnd(builder.CreateICmpSLE(begin, last), builder.CreateICmpSGT(end, last));
  EmitIf(builder, has_last, [&] { packer.PackRest(); });
}

}  // namespace recurve
