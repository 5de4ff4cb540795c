// compiler/emit_tile.cpp: register tiles: the loops in which nearly all time is spent.
//
// A tile's sums are SSA values carried by the loop over the summed axis. Of the two factors the shorter side is loaded
// first and held, the longer one streamed, since LLVM keeps that order and so the number of live registers. Rows are
// split evenly (16 rows by at most 6 are 6 + 5 + 5), so that no tile is nearly empty.

#include <algorithm>
#include <set>

#include "compiler/emit_kernel.h"
#include "compiler/lane_storage.h"

namespace recurve {
namespace {

constexpr int kLineBytes = 64;

// Of a row of the panel that a tile reads.
int LinesOfRow(const EmitModule& emit, const TileShape& shape) {
  const int bytes = shape.columns * shape.lanes * StoredBytes(shape.format.storage, emit.plan.precision);
  return std::max(1, bytes / kLineBytes);
}

void AddParameters(const EmitTypes& types, const TileShape& shape, size_t fetched,
                   std::vector<llvm::Type*>& parameters) {
  if (shape.prefetches) parameters.insert(parameters.end(), fetched, types.pointer);
  if (shape.continues) parameters.push_back(types.size);
  if (shape.either_way || shape.accumulates) parameters.push_back(llvm::Type::getInt1Ty(types.context));
}

Value* LastArgument(llvm::Function* function) {
  return function->getArg(static_cast<unsigned>(function->arg_size() - 1));
}

// What is at the places, or zeros if `continues` is 0.
std::vector<Value*> SumsSoFar(llvm::IRBuilder<>& builder, const EmitTypes& types, const TileShape& shape,
                              Value* continues, const std::vector<Value*>& places, llvm::Align align) {
  llvm::Type* vector = types.real;
  if (shape.lanes > 1) vector = llvm::FixedVectorType::get(types.real, static_cast<unsigned>(shape.lanes));
  llvm::BasicBlock* before = builder.GetInsertBlock();
  llvm::BasicBlock* load = llvm::BasicBlock::Create(types.context, "load", before->getParent());
  llvm::BasicBlock* begin = llvm::BasicBlock::Create(types.context, "begin", before->getParent());
  builder.CreateCondBr(builder.CreateICmpNE(continues, types.Word(0)), load, begin);
  builder.SetInsertPoint(load);
  std::vector<Value*> loaded, sums;
  for (Value* place : places) loaded.push_back(builder.CreateAlignedLoad(vector, place, align));
  builder.CreateBr(begin);
  builder.SetInsertPoint(begin);
  for (Value* value : loaded) {
    llvm::PHINode* sum = builder.CreatePHI(vector, 2);
    sum->addIncoming(value, load);
    sum->addIncoming(llvm::Constant::getNullValue(vector), before);
    sums.push_back(sum);
  }
  return sums;
}

// One tile of the shape: as TileRows, without a count, and with an address ahead for each line of a row.
llvm::Function* Tile(EmitModule& emit, int rows, TileShape shape) {
  shape.tile_rows = rows;
  llvm::Function*& function = emit.tiles[{shape, {}}];
  if (function != nullptr) return function;
  const EmitTypes& types = emit.types;
  std::vector<llvm::Type*> parameters{types.pointer, types.size,    types.size, types.pointer,
                                      types.size,    types.pointer, types.size};
  const int fetched = shape.prefetches ? LinesOfRow(emit, shape) : 0;
  AddParameters(types, shape, static_cast<size_t>(fetched), parameters);
  function = emit.NewFunction("tile", std::move(parameters), true);
  auto stride = [&](const std::optional<int64_t>& known, unsigned argument) -> Value* {
    if (known) return types.Word(*known);
    return function->getArg(argument);
  };
  Value* a_row_stride = stride(shape.constant_row_stride, 1);
  Value* a_depth_stride = stride(shape.constant_depth_stride, 2);
  Value* scratch_stride = function->getArg(6);
  std::vector<Value*> ahead;
  for (int line = 0; line < fetched; ++line) ahead.push_back(function->getArg(static_cast<unsigned>(7 + line)));
  Value* scratch = function->getArg(5);
  Value* backwards = shape.either_way ? LastArgument(function) : nullptr;

  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(types.context, "entry", function));
  std::vector<Value*> row_pointers{function->getArg(0)};
  for (int r = 1; r < rows; ++r)
    row_pointers.push_back(builder.CreateGEP(types.Stored(shape.left_storage), row_pointers.back(), a_row_stride));
  // Of the sums. Before the loop only where they are wanted there: registers are few.
  auto places = [&] {
    std::vector<Value*> found;
    Value* row = scratch;
    for (int r = 0; r < rows; ++r) {
      if (r > 0) row = builder.CreateGEP(types.real, row, scratch_stride);
      for (int c = 0; c < shape.columns; ++c)
        found.push_back(builder.CreateConstInBoundsGEP1_64(types.real, row, int64_t{c} * shape.lanes));
    }
    return found;
  };
  const llvm::Align align(static_cast<uint64_t>(types.real_bytes));
  std::vector<Value*> initial;
  if (shape.continues)
    initial = SumsSoFar(builder, types, shape, function->getArg(static_cast<unsigned>(7 + fetched)), places(), align);
  if (shape.accumulates && emit.plan.machine.l2_bytes > 0) {
    const std::vector<Value*> fetched_places = places();
    const int vectors_of_line = std::max(1, kLineBytes / (shape.lanes * types.real_bytes));
    for (size_t i = 0; i < fetched_places.size(); ++i) {
      const int column = static_cast<int>(i) % shape.columns;
      if (column % vectors_of_line == 0) EmitPrefetch(builder, fetched_places[i], Fetch::kToWrite);
    }
  }
  const std::vector<Value*> sums = EmitTileSums(emit, builder,
                                                {.shape = shape,
                                                 .rows = row_pointers,
                                                 .depth_stride = a_depth_stride,
                                                 .panels = {{function->getArg(3), shape.columns}},
                                                 .ahead = ahead,
                                                 .backwards = backwards},
                                                function->getArg(4), initial);
  const std::vector<Value*> results = places();
  auto store = [&](bool adds) {
    for (size_t i = 0; i < sums.size(); ++i) {
      Value* sum = sums[i];
      if (adds) sum = builder.CreateFAdd(builder.CreateAlignedLoad(sum->getType(), results[i], align), sum);
      builder.CreateAlignedStore(sum, results[i], align);
    }
  };
  if (shape.accumulates) {
    EmitChoice(builder, LastArgument(function), [&] { store(false); }, [&] { store(true); });
  } else {
    store(false);
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

// Adds term k to each of the sums.
std::vector<Value*> EmitTerm(EmitModule& emit, llvm::IRBuilder<>& builder, const TileOperands& operands, Value* k,
                             const std::vector<Value*>& sums) {
  const EmitTypes& types = emit.types;
  const TileShape& shape = operands.shape;
  const int lanes = shape.lanes;
  const size_t rows = operands.rows.size();
  const PanelFormat& format = shape.format;
  LaneBuilder lane_builder(builder, emit.Shape(lanes)), scalar_builder(builder, emit.Shape(1));
  llvm::Type* a_element = types.Stored(shape.left_storage);
  llvm::Type* weight = types.Stored(format.storage);
  Value* a_offset = builder.CreateMul(k, operands.depth_stride);
  std::vector<Value*> panel_rows;
  for (const TilePanel& panel : operands.panels) {
    Value* row_offset = builder.CreateMul(k, types.Word(int64_t{panel.columns} * lanes));
    panel_rows.push_back(builder.CreateGEP(weight, panel.first, row_offset));
  }
  for (Value* ahead : operands.ahead) {
    Value* line = builder.CreateMul(k, types.Word(kLineBytes));
    EmitPrefetch(builder, builder.CreateGEP(builder.getInt8Ty(), ahead, line), Fetch::kToRead);
  }
  auto load_a = [&](size_t r) {
    Value* address = builder.CreateGEP(a_element, operands.rows[r], a_offset);
    return lane_builder.Splat(EmitVectorLoad(scalar_builder, address, types.Word(1), Size{}, 0, shape.left_storage));
  };
  std::map<std::pair<size_t, int>, Value*> pairs;
  auto load_vector = [&](llvm::Type* element, size_t panel, int c) -> Value* {
    Value* address = builder.CreateConstInBoundsGEP1_64(weight, panel_rows[panel], int64_t{c} * lanes);
    llvm::Align align((weight->getScalarSizeInBits() / 8) * static_cast<uint64_t>(lanes & -lanes));
    llvm::Type* vector = lanes == 1 ? element : llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes));
    return builder.CreateAlignedLoad(vector, address, align);
  };
  auto load_panel = [&](size_t panel, int c) {
    if (!format.IsPaired(c, operands.panels[panel].columns))
      return Widen(lane_builder, load_vector(weight, panel, c), format.storage);
    Value*& pair = pairs[{panel, c / 2}];
    if (pair == nullptr) pair = load_vector(builder.getInt32Ty(), panel, c & ~1);
    return WidenOfPair(lane_builder, pair, c % 2 != 0);
  };
  std::vector<Value*> next(sums.size());
  std::vector<Lane> held;
  const bool holds_rows = rows <= static_cast<size_t>(operands.panels[0].columns);
  if (holds_rows) {
    for (size_t r = 0; r < rows; ++r) held.push_back(load_a(r));
  }
  size_t first_sum = 0;
  for (size_t panel = 0; panel < panel_rows.size(); ++panel) {
    const int columns = operands.panels[panel].columns;
    auto multiply = [&](size_t r, int c, Lane x, Lane y) {
      const size_t place = first_sum + r * columns + c;
      next[place] = lane_builder.FusedMultiplyAdd(x, y, lane_builder.Wrap(sums[place])).value;
    };
    if (holds_rows) {
      for (int c = 0; c < columns; ++c) {
        Lane streamed = load_panel(panel, c);
        for (size_t r = 0; r < rows; ++r) multiply(r, c, held[r], streamed);
      }
    } else {
      std::vector<Lane> weights;
      for (int c = 0; c < columns; ++c) weights.push_back(load_panel(panel, c));
      for (size_t r = 0; r < rows; ++r) {
        Lane streamed = load_a(r);
        for (int c = 0; c < columns; ++c) multiply(r, c, streamed, weights[c]);
      }
    }
    first_sum += rows * columns;
  }
  return next;
}

}  // namespace

std::vector<Value*> EmitTileSums(EmitModule& emit, llvm::IRBuilder<>& builder, const TileOperands& operands,
                                 Value* depth, std::vector<Value*> initial) {
  // k, or depth - 1 - k = depth + ~k.
  Value* all_bits = nullptr;
  Value* end = nullptr;
  if (operands.backwards != nullptr) {
    all_bits = builder.CreateSExt(operands.backwards, emit.types.size);
    end = builder.CreateAnd(depth, all_bits);
  }
  auto add_term = [&](Value* k, const std::vector<Value*>& sums) {
    if (end != nullptr) k = builder.CreateAdd(builder.CreateXor(k, all_bits), end);
    return EmitTerm(emit, builder, operands, k, sums);
  };
  size_t count = 0;
  for (const TilePanel& panel : operands.panels) count += operands.rows.size() * static_cast<size_t>(panel.columns);
  LaneBuilder lanes(builder, emit.Shape(operands.shape.lanes));
  const std::vector<Value*> zeros(count, lanes.Constant(0).value);
  if (initial.empty()) initial = zeros;
  if (!operands.shape.halves) return EmitCarriedLoop(builder, depth, initial, add_term, /*runs=*/true);

  // Of an odd number of terms the first half has one more.
  Value* terms = builder.CreateLShr(depth, emit.types.Word(1));
  Value* middle = builder.CreateSub(depth, terms);
  const auto half = static_cast<ptrdiff_t>(count);
  auto add_both = [&](Value* k, const std::vector<Value*>& sums) {
    std::vector<Value*> next = add_term(k, {sums.begin(), sums.begin() + half});
    const std::vector<Value*> others = add_term(builder.CreateAdd(k, middle), {sums.begin() + half, sums.end()});
    next.insert(next.end(), others.begin(), others.end());
    return next;
  };
  std::vector<Value*> both = initial;
  both.insert(both.end(), zeros.begin(), zeros.end());
  both = EmitCarriedLoop(builder, terms, both, add_both, /*runs=*/true);
  std::vector<Value*> first(both.begin(), both.begin() + half), second(both.begin() + half, both.end());
  auto add_last = [&](Value*, const std::vector<Value*>& sums) { return add_term(terms, sums); };
  first = EmitCarriedLoop(builder, builder.CreateSub(middle, terms), first, add_last, /*runs=*/false);
  for (size_t i = 0; i < count; ++i) first[i] = builder.CreateFAdd(first[i], second[i]);
  return first;
}

llvm::Function* TileRows(EmitModule& emit, const TileShape& shape, const std::vector<int64_t>& counts) {
  const std::vector<int> heights = TileHeights(shape.tile_rows, counts);
  if (llvm::Function* known = emit.tiles[{shape, heights}]) return known;
  std::vector<llvm::Function*> tiles;
  for (int rows : heights) tiles.push_back(Tile(emit, rows, shape));
  const EmitTypes& types = emit.types;
  std::vector<llvm::Type*> parameters{types.pointer, types.size,    types.size, types.pointer,
                                      types.size,    types.pointer, types.size, types.size};
  AddParameters(types, shape, 1, parameters);
  llvm::Function* result = emit.NewFunction("tile_rows", std::move(parameters), true);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(types.context, "entry", result));
  Value* a = result->getArg(0);
  Value* scratch = result->getArg(5);
  Value* count = result->getArg(7);
  Value* most = types.Word(shape.tile_rows);
  Value* number = builder.CreateUDiv(builder.CreateAdd(count, types.Word(shape.tile_rows - 1)), most);
  Value* base = builder.CreateUDiv(count, number);
  Value* longer = builder.CreateSub(count, builder.CreateMul(base, number));  // tiles of base + 1 rows, first
  EmitLoop(builder, types.Word(0), number, types.Word(1), [&](Value* tile) {
    Value* is_longer = builder.CreateICmpSLT(tile, longer);
    Value* rows = builder.CreateAdd(base, builder.CreateZExt(is_longer, types.size));
    Value* first = builder.CreateAdd(builder.CreateMul(tile, base), builder.CreateSelect(is_longer, tile, longer));
    Value* a_first =
        builder.CreateGEP(types.Stored(shape.left_storage), a, builder.CreateMul(first, result->getArg(1)));
    Value* scratch_first = builder.CreateGEP(types.real, scratch, builder.CreateMul(first, result->getArg(6)));
    std::vector<Value*> more;
    if (shape.prefetches) {
      // A part has as many lines as there are terms. With a tile for each part a term fetches a line: more would wait
      // for each other, and the loads of the tile for them. Fewer tiles share the parts; where there are none left for
      // one, it names its last one again, which costs nothing.
      const int parts = LinesOfRow(emit, shape);
      Value *part = tile, *own = types.Word(parts - 1);
      for (int i = 0; i < parts; ++i) {
        own = builder.CreateSelect(builder.CreateICmpULT(part, types.Word(parts)), part, own);
        Value* bytes = builder.CreateMul(builder.CreateMul(own, result->getArg(4)), types.Word(kLineBytes));
        more.push_back(builder.CreateGEP(builder.getInt8Ty(), result->getArg(8), bytes));
        part = builder.CreateAdd(part, number);
      }
    }
    if (shape.continues) more.push_back(result->getArg(shape.prefetches ? 9 : 8));
    if (shape.either_way || shape.accumulates) more.push_back(LastArgument(result));
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
      std::vector<Value*> arguments{a_first,           result->getArg(1), result->getArg(2), result->getArg(3),
                                    result->getArg(4), scratch_first,     result->getArg(6)};
      arguments.insert(arguments.end(), more.begin(), more.end());
      builder.CreateCall(tiles[i], arguments);
      builder.CreateBr(done);
    }
    result->insert(result->end(), done);
    builder.SetInsertPoint(done);
  });
  builder.CreateRetVoid();
  emit.tiles[{shape, heights}] = result;
  return result;
}

}  // namespace recurve
