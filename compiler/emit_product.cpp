// compiler/emit_product.cpp: products of two activations (weight gradients), and the packing of weights.
//
// The summed axis is walked in slices of `depth` terms. Of each slice the right side is packed into panels once, shared
// by the threads; the left side is packed a block of rows at a time on the stack, in an order in which a register tile
// reads it contiguously; and what a slice contributes is added to the result. Packing costs one pass over each side and
// spares the strided reads of the tiles, whose lines would fall on few sets of the caches. Source: Goto & van de Geijn
// 2008, Anatomy of high-performance matrix multiplication, ACM TOMS 34(3).

#include "compiler/emit_kernel.h"

namespace recurve {

void KernelEmitter::EmitProduct() {
  const int lanes = kernel_.lanes, vectors = kernel_.vectors, units = Units(), block_rows = kernel_.block_rows;
  const int block_units = lanes * vectors;
  const int blocks = (units + block_units - 1) / block_units,
            accumulated = kernel_.accumulates ? units / block_units : 0;
  llvm::Type* real = emit_.types.real;
  Value* scratch = accumulated < blocks ? Scratch(int64_t{block_rows} * block_units) : nullptr;
  Value* left_block = Scratch(kernel_.depth * block_rows);
  View panel_view{.buffer = kernel_.panel_buffer, .offset = {}, .axes = {}};
  Value* panel = At(panel_view, {});
  const int64_t panel_block = kernel_.depth * block_units;

  Value* rows = frame_->SizeValue(kernel_.rows.back());
  // Blocks of rows are whole vectors of rows, as even as possible, and so many that two or four members have equal
  // parts.
  Value* row_vectors = builder_.CreateUDiv(builder_.CreateAdd(rows, Word(lanes - 1)), Word(lanes));
  Value* row_blocks = RowBlocks(row_vectors);
  auto first_row = [&](Value* row_block) {
    Value* first = builder_.CreateUDiv(builder_.CreateMul(row_block, row_vectors), row_blocks);
    return Minimum(builder_.CreateMul(first, Word(lanes)), rows);
  };
  std::vector<int64_t> counts;  // rows of a block, if the sizes are known
  if (const auto* known = llvm::dyn_cast<llvm::ConstantInt>(row_blocks)) {
    auto row = [&](int64_t block) { return llvm::cast<llvm::ConstantInt>(first_row(Word(block)))->getSExtValue(); };
    for (int64_t block = 0; block < known->getSExtValue(); ++block) counts.push_back(row(block + 1) - row(block));
  }
  Range all_depths = ReducedRange(kernel_.reduced.size() - 1);
  std::vector<Range> outer_depths;
  for (size_t axis = 0; axis + 1 < kernel_.reduced.size(); ++axis) outer_depths.push_back(ReducedRange(axis));
  Value* first_chunk = IsFirstChunk();
  Range own_blocks = Split(Word(blocks), frame_->ThreadCount(), frame_->ThreadIndex());
  Range own_rows = Split(row_blocks, frame_->ThreadCount(), frame_->ThreadIndex());

  Indices outer;
  EmitRowNest(outer, [&] {
    Indices depths;
    EmitNest(outer_depths, depths, [&] {
      EmitLoop(builder_, all_depths.begin, all_depths.end, Word(kernel_.depth), [&](Value* depth_begin) {
        Value* depth = Minimum(Word(kernel_.depth), builder_.CreateSub(all_depths.end, depth_begin));
        Value* first = builder_.CreateICmpEQ(depth_begin, all_depths.begin);
        for (size_t i = 0; i < depths.size(); ++i) {
          first = builder_.CreateAnd(first, builder_.CreateICmpEQ(depths[i], outer_depths[i].begin));
        }
        if (first_chunk != nullptr) first = builder_.CreateAnd(first, first_chunk);
        auto panel_of = [&](Value* block) {
          return builder_.CreateGEP(real, panel, builder_.CreateMul(block, Word(panel_block)));
        };
        CallBarrier();
        EmitLoop(builder_, own_blocks.begin, own_blocks.end, Word(1),
                 [&](Value* block) { PackRight(depths, depth_begin, depth, block, panel_of(block)); });
        CallBarrier();
        EmitLoop(builder_, own_rows.begin, own_rows.end, Word(1), [&](Value* row_block) {
          Indices indices = outer;
          indices.push_back(first_row(row_block));
          Value* count = builder_.CreateSub(first_row(builder_.CreateAdd(row_block, Word(1))), indices.back());
          PackLeft(outer, depths, indices.back(), count, depth_begin, depth, left_block);
          Value* out = At(kernel_.out, indices);
          Value* row_stride = frame_->SizeValue(kernel_.out.axes[kernel_.rows.size() - 1].stride);
          ProductSlice slice{.left = left_block, .depth = depth, .count = count, .counts = counts, .is_first = first};
          EmitLoop(builder_, Word(0), Word(accumulated), Word(1), [&](Value* block) {
            Value* results = builder_.CreateGEP(real, out, builder_.CreateMul(block, Word(block_units)));
            EmitProductTiles(slice, panel_of(block), results, row_stride);
          });
          ProductSlice alone = slice;
          alone.is_first = builder_.getTrue();
          EmitLoop(builder_, Word(accumulated), Word(blocks), Word(1), [&](Value* block) {
            EmitProductTiles(alone, panel_of(block), scratch, Word(block_units));
            AddProduct(slice, block, scratch, out, row_stride);
          });
        });
      });
    });
  });
}

// The sums of a slice with one block of units, to results whose rows are so far apart.
void KernelEmitter::EmitProductTiles(const ProductSlice& slice, Value* panel, Value* results, Value* row_stride) {
  int column = 0;
  for (int chunk : kernel_.chunks) {
    Value* skipped = Word(int64_t{column} * kernel_.lanes);
    Value* chunk_panel = builder_.CreateGEP(emit_.types.real, panel, builder_.CreateMul(slice.depth, skipped));
    Value* sums = builder_.CreateGEP(emit_.types.real, results, skipped);
    std::vector<Value*> arguments{slice.left, Word(1),    Word(kernel_.block_rows), chunk_panel, slice.depth, sums,
                                  row_stride, slice.count};
    if (kernel_.accumulates) arguments.push_back(slice.is_first);
    builder_.CreateCall(TileRows(emit_, TilesOf(kernel_, chunk), slice.counts), arguments);
    column += chunk;
  }
}

// Adds the sums in `scratch` to results of a block of units that may be cut short.
void KernelEmitter::AddProduct(const ProductSlice& slice, Value* block, Value* scratch, Value* out, Value* row_stride) {
  const int lanes = kernel_.lanes, vectors = kernel_.vectors, block_units = lanes * vectors;
  const int full = Units() / lanes, tail = Units() % lanes;
  LaneBuilder wide(builder_, emit_.Shape(lanes)), narrow(builder_, emit_.Shape(tail > 0 ? tail : 1));
  llvm::Type* real = emit_.types.real;
  Value* stride = StrideOf(kernel_.out);
  const Size& known = kernel_.out.axes.back().stride;
  Value* first_vector = builder_.CreateMul(block, Word(vectors));
  Value* last_vector = Minimum(builder_.CreateAdd(first_vector, Word(vectors)), Word(full));
  EmitLoop(builder_, Word(0), slice.count, Word(1), [&](Value* r) {
    Value* out_row = builder_.CreateGEP(real, out, builder_.CreateMul(r, row_stride));
    auto add = [&](LaneBuilder& builder, Value* vector) {
      Value* unit = builder_.CreateMul(vector, Word(lanes));
      Value* pointer = builder_.CreateGEP(real, out_row, builder_.CreateMul(unit, stride));
      Value* offset = builder_.CreateAdd(builder_.CreateMul(r, Word(block_units)),
                                         builder_.CreateMul(builder_.CreateSub(vector, first_vector), Word(lanes)));
      Value* sum = EmitVectorLoad(builder, builder_.CreateGEP(real, scratch, offset), Word(1), Size{});
      Value* present = EmitVectorLoad(builder, pointer, stride, known);
      present = builder_.CreateSelect(slice.is_first, builder.Constant(0).value, present);
      EmitVectorStore(builder, builder_.CreateFAdd(present, sum), pointer, stride, known);
    };
    EmitLoop(builder_, first_vector, last_vector, Word(1), [&](Value* vector) { add(wide, vector); });
    if (tail == 0) return;
    EmitIf(builder_, builder_.CreateICmpEQ(block, Word(Units() / block_units)), [&] { add(narrow, Word(full)); });
  });
}

// panel[chunk][k][column][lane] = right[depth_begin + k][units of the block], zero beyond the last unit.
void KernelEmitter::PackRight(const Indices& depths, Value* depth_begin, Value* depth, Value* block, Value* panel) {
  const int lanes = kernel_.lanes, vectors = kernel_.vectors, units = Units();
  const int full = units / lanes, tail = units % lanes;
  llvm::Type* real = emit_.types.real;
  LaneBuilder wide(builder_, emit_.Shape(lanes)), narrow(builder_, emit_.Shape(tail > 0 ? tail : 1));
  Value* stride = StrideOf(kernel_.right);
  const Size& known = kernel_.right.axes.back().stride;
  Value* first_vector = builder_.CreateMul(block, Word(vectors));
  EmitLoop(builder_, Word(0), depth, Word(1), [&](Value* k) {
    Indices indices = depths;
    indices.push_back(builder_.CreateAdd(depth_begin, k));
    Value* from = At(kernel_.right, indices);
    int column = 0;
    for (int chunk : kernel_.chunks) {
      Value* chunk_panel = builder_.CreateAdd(builder_.CreateMul(depth, Word(int64_t{column} * lanes)),
                                              builder_.CreateMul(k, Word(int64_t{chunk} * lanes)));
      for (int c = 0; c < chunk; ++c) {
        Value* vector = builder_.CreateAdd(first_vector, Word(column + c));
        Value* to = builder_.CreateGEP(real, panel, builder_.CreateAdd(chunk_panel, Word(int64_t{c} * lanes)));
        Value* source = builder_.CreateGEP(ElementOf(kernel_.right), from,
                                           builder_.CreateMul(builder_.CreateMul(vector, Word(lanes)), stride));
        auto copy = [&](LaneBuilder& builder) {
          Value* value = EmitVectorLoad(builder, source, stride, known, 0, StorageOf(kernel_.right));
          EmitVectorStore(builder, value, to, Word(1), Size{});
        };
        if (tail == 0 && full % vectors == 0) {
          copy(wide);
          continue;
        }
        Value* whole = builder_.CreateICmpSLT(vector, Word(full));
        EmitIf(builder_, builder_.CreateNot(whole), [&] {
          EmitVectorStore(wide, wide.Constant(0).value, to, Word(1), Size{});
          if (tail > 0) EmitIf(builder_, builder_.CreateICmpEQ(vector, Word(full)), [&] { copy(narrow); });
        });
        EmitIf(builder_, whole, [&] { copy(wide); });
      }
      column += chunk;
    }
  });
}

// left_block[k][r] = left[row + r][depth_begin + k], rows contiguous.
void KernelEmitter::PackLeft(const Indices& outer, const Indices& depths, Value* row, Value* count, Value* depth_begin,
                             Value* depth, Value* left_block) {
  llvm::Type* real = emit_.types.real;
  LaneBuilder wide(builder_, emit_.Shape(kernel_.lanes)), one(builder_, emit_.Shape(1));
  Indices indices = outer;
  indices.push_back(row);
  for (Value* index : depths) indices.push_back(index);
  indices.push_back(depth_begin);
  Value* from = At(kernel_.left, indices);
  const Size& row_size = kernel_.left.axes[kernel_.rows.size() - 1].stride;
  Value* row_stride = frame_->SizeValue(row_size);
  Value* depth_stride = StrideOf(kernel_.left);
  auto copy = [&](LaneBuilder& builder, Value* k, Value* r) {
    Value* offset = builder_.CreateAdd(builder_.CreateMul(k, depth_stride), builder_.CreateMul(r, row_stride));
    Value* to =
        builder_.CreateGEP(real, left_block, builder_.CreateAdd(builder_.CreateMul(k, Word(kernel_.block_rows)), r));
    Value* source = builder_.CreateGEP(ElementOf(kernel_.left), from, offset);
    Value* value = EmitVectorLoad(builder, source, row_stride, row_size, 0, StorageOf(kernel_.left));
    EmitVectorStore(builder, value, to, Word(1), Size{});
  };
  // Whole vectors of rows where rows are contiguous; the others one by one.
  Value* whole = Word(0);
  if (row_size == Size{}) whole = builder_.CreateSub(count, builder_.CreateURem(count, Word(kernel_.lanes)));
  EmitLoop(builder_, Word(0), depth, Word(1), [&](Value* k) {
    EmitLoop(builder_, Word(0), whole, Word(kernel_.lanes), [&](Value* r) { copy(wide, k, r); });
    EmitLoop(builder_, whole, count, Word(1), [&](Value* r) { copy(one, k, r); });
  });
}

// The number of blocks of a kProduct's rows.
Value* KernelEmitter::RowBlocks(Value* row_vectors) {
  constexpr int64_t kVectorsOfFour = 16;  // from so many vectors of rows on four parts are worth it
  const int64_t most = kernel_.block_rows / kernel_.lanes;
  Value* fewest = builder_.CreateUDiv(builder_.CreateAdd(row_vectors, Word(most - 1)), Word(most));
  auto at_least = [&](int64_t vectors) { return builder_.CreateICmpUGE(row_vectors, Word(vectors)); };
  Value* parts = builder_.CreateSelect(at_least(2), Word(2), Word(1));
  parts = builder_.CreateSelect(at_least(kVectorsOfFour), Word(4), parts);
  Value* rounded = builder_.CreateUDiv(builder_.CreateSub(builder_.CreateAdd(fewest, parts), Word(1)), parts);
  return builder_.CreateMul(rounded, parts);
}

}  // namespace recurve
