// compiler/emit_tile.cpp: register tiles: the loops in which nearly all time is spent.
//
// A tile's sums are SSA values carried by the loop over the summed axis. Of the two factors the shorter side is loaded
// first and held, the longer one streamed, since LLVM keeps that order and so the number of live registers. Rows are
// split evenly (16 rows by at most 6 are 6 + 5 + 5), so that no tile is nearly empty.

#include <set>

#include "compiler/emit_kernel.h"
#include "compiler/lane_storage.h"

namespace recurve {
namespace {

// void(ptr a, word a_row_stride, word a_depth_stride, ptr panel, word depth, ptr scratch, word scratch_stride)
llvm::Function* Tile(EmitModule& emit, int rows, int columns, int lanes, std::optional<int64_t> depth_stride,
                     Storage a_storage, PanelFormat format) {
  llvm::Function*& function = emit.tiles[{rows, columns, lanes, depth_stride.value_or(-1), static_cast<int>(a_storage),
                                          static_cast<int>(format.storage), format.pairs}];
  if (function != nullptr) return function;
  const EmitTypes& types = emit.types;
  function = emit.NewFunction(
      "tile", {types.pointer, types.size, types.size, types.pointer, types.size, types.pointer, types.size}, true);
  Value* a_depth_stride = depth_stride ? types.Word(*depth_stride) : static_cast<Value*>(function->getArg(2));
  Value* scratch_stride = function->getArg(6);

  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(types.context, "entry", function));
  std::vector<Value*> row_pointers{function->getArg(0)};
  for (int r = 1; r < rows; ++r)
    row_pointers.push_back(builder.CreateGEP(types.Stored(a_storage), row_pointers.back(), function->getArg(1)));
  const std::vector<Value*> sums = EmitTileSums(emit, builder, row_pointers, a_depth_stride, a_storage,
                                                function->getArg(3), function->getArg(4), columns, lanes, format);
  Value* sum_row = function->getArg(5);
  for (int r = 0; r < rows; ++r) {
    if (r > 0) sum_row = builder.CreateGEP(types.real, sum_row, scratch_stride);
    for (int c = 0; c < columns; ++c) {
      builder.CreateAlignedStore(sums[r * columns + c],
                                 builder.CreateConstInBoundsGEP1_64(types.real, sum_row, int64_t{c} * lanes),
                                 llvm::Align(static_cast<uint64_t>(types.real_bytes) * (lanes & -lanes)));
    }
  }
  builder.CreateRetVoid();
  return function;
}

// The heights of the tiles that these counts of rows, or any, are split into, ascending.
std::vector<int> TileHeights(int tile_rows, const std::vector<int64_t>& counts) {
  std::set<int> heights;
  for (int64_t count : counts) {
    if (count == 0) continue;
    const int64_t number = (count + tile_rows - 1) / tile_rows;
    heights.insert(static_cast<int>(count / number));
    heights.insert(static_cast<int>((count + number - 1) / number));
  }
  if (counts.empty()) {
    for (int rows = 1; rows <= tile_rows; ++rows) heights.insert(rows);
  }
  return {heights.begin(), heights.end()};
}

}  // namespace

std::vector<Value*> EmitTileSums(EmitModule& emit, llvm::IRBuilder<>& builder, const std::vector<Value*>& a_rows,
                                 Value* a_depth_stride, Storage a_storage, Value* panel, Value* depth, int columns,
                                 int lanes, PanelFormat format) {
  const EmitTypes& types = emit.types;
  const int rows = static_cast<int>(a_rows.size());
  LaneBuilder lane_builder(builder, emit.Shape(lanes)), scalar_builder(builder, emit.Shape(1));
  llvm::Type* a_element = types.Stored(a_storage);
  llvm::Type* weight = types.Stored(format.storage);
  auto add_term = [&](Value* k, const std::vector<Value*>& sums) {
    Value* a_offset = builder.CreateMul(k, a_depth_stride);
    Value* panel_row = builder.CreateGEP(weight, panel, builder.CreateMul(k, types.Word(int64_t{columns} * lanes)));
    auto load_a = [&](int r) {
      Value* address = builder.CreateGEP(a_element, a_rows[r], a_offset);
      return lane_builder.Splat(EmitVectorLoad(scalar_builder, address, types.Word(1), Size{}, 0, a_storage));
    };
    std::map<int, Value*> pairs;
    auto load_vector = [&](llvm::Type* element, int c) -> Value* {
      Value* address = builder.CreateConstInBoundsGEP1_64(weight, panel_row, int64_t{c} * lanes);
      llvm::Align align((weight->getScalarSizeInBits() / 8) * static_cast<uint64_t>(lanes & -lanes));
      llvm::Type* vector = lanes == 1 ? element : llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes));
      return builder.CreateAlignedLoad(vector, address, align);
    };
    auto load_panel = [&](int c) {
      if (!format.IsPaired(c, columns)) return Widen(lane_builder, load_vector(weight, c), format.storage);
      Value*& pair = pairs[c / 2];
      if (pair == nullptr) pair = load_vector(builder.getInt32Ty(), c & ~1);
      return WidenOfPair(lane_builder, pair, c % 2 != 0);
    };
    std::vector<Value*> next(sums.size());
    auto multiply = [&](int r, int c, Lane x, Lane y) {
      next[r * columns + c] = lane_builder.FusedMultiplyAdd(x, y, lane_builder.Wrap(sums[r * columns + c])).value;
    };
    std::vector<Lane> held;
    if (rows <= columns) {
      for (int r = 0; r < rows; ++r) held.push_back(load_a(r));
      for (int c = 0; c < columns; ++c) {
        Lane streamed = load_panel(c);
        for (int r = 0; r < rows; ++r) multiply(r, c, held[r], streamed);
      }
    } else {
      for (int c = 0; c < columns; ++c) held.push_back(load_panel(c));
      for (int r = 0; r < rows; ++r) {
        Lane streamed = load_a(r);
        for (int c = 0; c < columns; ++c) multiply(r, c, streamed, held[c]);
      }
    }
    return next;
  };
  const std::vector<Value*> zeros(static_cast<size_t>(rows) * columns, lane_builder.Constant(0).value);
  return EmitCarriedLoop(builder, depth, zeros, add_term, /*runs=*/true);
}

llvm::Function* TileRows(EmitModule& emit, int columns, int lanes, int tile_rows,
                         std::optional<int64_t> constant_depth_stride, Storage a_storage, PanelFormat format,
                         const std::vector<int64_t>& counts) {
  const std::vector<int> heights = TileHeights(tile_rows, counts);
  std::vector<int64_t> key{columns,
                           lanes,
                           tile_rows,
                           constant_depth_stride.value_or(-1),
                           static_cast<int>(a_storage),
                           static_cast<int>(format.storage),
                           format.pairs,
                           0};
  key.insert(key.end(), heights.begin(), heights.end());
  llvm::Function*& function = emit.tiles[key];
  if (function != nullptr) return function;
  std::vector<llvm::Function*> tiles;
  for (int rows : heights) tiles.push_back(Tile(emit, rows, columns, lanes, constant_depth_stride, a_storage, format));
  const EmitTypes& types = emit.types;
  llvm::Function* result = emit.NewFunction(
      "tile_rows",
      {types.pointer, types.size, types.size, types.pointer, types.size, types.pointer, types.size, types.size}, true);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(types.context, "entry", result));
  Value* a = result->getArg(0);
  Value* scratch = result->getArg(5);
  Value* count = result->getArg(7);
  Value* most = types.Word(tile_rows);
  Value* number = builder.CreateUDiv(builder.CreateAdd(count, types.Word(tile_rows - 1)), most);
  Value* base = builder.CreateUDiv(count, number);
  Value* longer = builder.CreateSub(count, builder.CreateMul(base, number));  // tiles of base + 1 rows, first
  EmitLoop(builder, types.Word(0), number, types.Word(1), [&](Value* tile) {
    Value* is_longer = builder.CreateICmpSLT(tile, longer);
    Value* rows = builder.CreateAdd(base, builder.CreateZExt(is_longer, types.size));
    Value* first = builder.CreateAdd(builder.CreateMul(tile, base), builder.CreateSelect(is_longer, tile, longer));
    Value* a_first = builder.CreateGEP(types.Stored(a_storage), a, builder.CreateMul(first, result->getArg(1)));
    Value* scratch_first = builder.CreateGEP(types.real, scratch, builder.CreateMul(first, result->getArg(6)));
    llvm::BasicBlock* done = llvm::BasicBlock::Create(types.context, "done");
    llvm::SwitchInst* choose = nullptr;
    for (size_t i = heights.size(); i-- > 0;) {
      llvm::BasicBlock* block = llvm::BasicBlock::Create(types.context, "rows", result);
      if (choose == nullptr) {
        choose = builder.CreateSwitch(rows, block, static_cast<unsigned>(heights.size()) - 1);
      } else {
        choose->addCase(types.Word(heights[i]), block);
      }
      builder.SetInsertPoint(block);
      builder.CreateCall(tiles[i], {a_first, result->getArg(1), result->getArg(2), result->getArg(3), result->getArg(4),
                                    scratch_first, result->getArg(6)});
      builder.CreateBr(done);
    }
    result->insert(result->end(), done);
    builder.SetInsertPoint(done);
  });
  builder.CreateRetVoid();
  emit.tiles[key] = result;
  return result;
}

}  // namespace recurve
