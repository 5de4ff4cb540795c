// compiler/emit_map.cpp: Map kernels: products, then a lane program on their sums.
//
// Products of many rows go through memory that stays in the first-level cache: register tiles write their sums there,
// the lane program reads them. The sums of a single row stay in registers.

#include <algorithm>

#include "compiler/emit_kernel.h"

namespace recurve {

// A lane program row by row; threads share the rows.
void KernelEmitter::EmitMap() {
  if (!kernel_.products.empty()) return EmitMapWithProducts();
  EmitOwnRows(kernel_.rows.size() - 1, [&](Range rows) { EmitMapRows(SplitAmongThreads(rows)); });
}

void KernelEmitter::EmitMapRows(Range rows) {
  const int lanes = kernel_.lanes, full = Units() / lanes, tail = Units() % lanes;
  Indices indices;
  EmitRowNest(indices, [&] {
    EmitLoop(builder_, rows.begin, rows.end, Word(1), [&](Value* r) {
      indices.push_back(r);
      Row row = BeginRow(indices);
      auto run = [&](int valid, Value* unit) {
        LaneBuilder builder(builder_, emit_.Shape(WidthOf(valid)));
        RunStores(builder, row, unit, valid, RunProgram(builder, row, unit, valid, nullptr));
      };
      if (LoadsWhatIsStored()) {
        for (int vector = 0; vector < full; ++vector) run(lanes, Word(int64_t{vector} * lanes));
      } else {
        EmitLoop(builder_, Word(0), Word(int64_t{full} * lanes), Word(lanes), [&](Value* unit) { run(lanes, unit); });
      }
      if (tail > 0) run(tail, Word(int64_t{full} * lanes));
      indices.pop_back();
    });
  });
}

bool KernelEmitter::LoadsWhatIsStored() const {
  if (stored_ == nullptr) return false;
  bool loads = false;
  for (int unit = 0; unit < Units(); unit += kernel_.lanes) {
    const int valid = std::min(kernel_.lanes, Units() - unit);
    for (const LaneInstruction& instruction : kernel_.program) {
      if (instruction.kind != LaneInstruction::Kind::kLoad) continue;
      loads = true;
      if (stored_->Find(instruction.view, Word(unit), valid) == nullptr) return false;
    }
  }
  return loads;
}

// For a block of rows and a block of units: products into scratch, then the lane program row by row. Threads share the
// blocks of units, or the rows where there are fewer blocks than threads.
void KernelEmitter::EmitMapWithProducts() {
  if (HasOneRow()) {
    Indices outer;
    EmitRowNest(outer, [&] { EmitProductsOfOneRow(outer); });
    return;
  }
  std::vector<Value*> scratch;
  for (const MapProduct& product : kernel_.products) {
    if (kernel_.stores_sums && HasWholeBlocks()) continue;
    int columns = emit_.plan.panels[product.panels].block.count();
    scratch.push_back(Scratch(int64_t{kernel_.block_rows} * columns * kernel_.lanes));
  }
  EmitOwnRows(kernel_.rows.size() - 1, [&](Range rows) { EmitProductRows(scratch, rows); });
}

void KernelEmitter::EmitProductRows(const std::vector<Value*>& scratch, Range rows) {
  const int block_units = kernel_.lanes * kernel_.vectors, blocks = (Units() + block_units - 1) / block_units;
  Value* threads = Threads();
  Value* thread = Thread();
  Value* by_blocks = builder_.CreateICmpSGE(Word(blocks), threads);
  Range of_blocks = Split(Word(blocks), threads, thread), of_rows = SplitAmongThreads(rows);
  Value* block_begin = builder_.CreateSelect(by_blocks, of_blocks.begin, Word(0));
  Value* block_end = builder_.CreateSelect(by_blocks, of_blocks.end, Word(blocks));
  Value* row_begin = builder_.CreateSelect(by_blocks, rows.begin, of_rows.begin);
  Value* row_end = builder_.CreateSelect(by_blocks, rows.end, of_rows.end);

  // The fewest blocks of rows, as even as possible: 65 rows are 33 + 32 and not 64 + 1.
  Value* own_rows = builder_.CreateSub(row_end, row_begin);
  Value* row_blocks =
      builder_.CreateUDiv(builder_.CreateAdd(own_rows, Word(kernel_.block_rows - 1)), Word(kernel_.block_rows));
  row_blocks = builder_.CreateSelect(builder_.CreateICmpEQ(row_blocks, Word(0)), Word(1), row_blocks);
  Value* step = builder_.CreateUDiv(builder_.CreateAdd(own_rows, builder_.CreateSub(row_blocks, Word(1))), row_blocks);

  // In every other step the blocks in reverse.
  Value* backwards = nullptr;
  if (Alternates()) backwards = IsBackwards();
  Value* last_block = builder_.CreateSub(builder_.CreateAdd(block_begin, block_end), Word(1));

  Indices outer;
  EmitRowNest(outer, [&] {
    EmitLoop(builder_, row_begin, row_end, step, [&](Value* row) {
      Value* count = Minimum(step, builder_.CreateSub(row_end, row));
      EmitLoop(builder_, block_begin, block_end, Word(1), [&](Value* block) {
        auto in_order = [&](Value* i) {
          return backwards == nullptr ? i : builder_.CreateSelect(backwards, builder_.CreateSub(last_block, i), i);
        };
        RowBlock at{.outer = outer, .row = row, .count = count, .block = in_order(block)};
        if (kernel_.prefetches) {
          Value* next = builder_.CreateAdd(block, Word(1));
          at.next_block = in_order(Minimum(next, builder_.CreateSub(block_end, Word(1))));
        }
        at.is_last = builder_.CreateICmpEQ(at.block, Word(blocks - 1));
        auto through_scratch = [&] {
          EmitProducts(scratch, at);
          EmitProgramOfBlock(scratch, at);
        };
        if (!kernel_.stores_sums) {
          through_scratch();
        } else if (HasWholeBlocks()) {
          EmitStoredSums(at);
        } else {
          EmitChoice(builder_, at.is_last, through_scratch, [&] { EmitStoredSums(at); });
        }
      });
    });
  });
}

// Row by row, on sums in memory.
void KernelEmitter::EmitProgramOfBlock(const std::vector<Value*>& scratch, const RowBlock& at) {
  const int lanes = kernel_.lanes, vectors = kernel_.vectors;
  const int full_vectors = Units() / lanes, tail = Units() % lanes;
  // Lanes of the sums from row to row and, of whole vectors, from group to group.
  std::vector<Value*> row_lanes, group_lanes;
  for (const MapProduct& product : kernel_.products) {
    const Panels& panels = emit_.plan.panels[product.panels];
    auto of_block = [&](int64_t all, int64_t last) {
      return builder_.CreateSelect(at.is_last, Word(last * lanes), Word(all * lanes));
    };
    row_lanes.push_back(of_block(panels.block.count(), panels.last().count()));
    group_lanes.push_back(of_block(panels.block.vectors, panels.last().vectors));
  }
  Value* first_vector = builder_.CreateMul(at.block, Word(vectors));
  Value* last_vector = Minimum(builder_.CreateAdd(first_vector, Word(vectors)), Word(full_vectors));
  EmitLoop(builder_, Word(0), at.count, Word(1), [&](Value* r) {
    Indices indices = at.outer;
    indices.push_back(builder_.CreateAdd(at.row, r));
    const Row row = BeginRow(indices);
    auto run = [&](int valid, Value* vector) {
      LaneBuilder builder(builder_, emit_.Shape(WidthOf(valid)));
      Value* unit = builder_.CreateMul(vector, Word(lanes));
      auto sum = [&](LaneBuilder& narrow, const LaneInstruction& instruction) -> Value* {
        const int number = instruction.product;
        const Panels& panels = emit_.plan.panels[kernel_.products[number].panels];
        Value* lane = nullptr;
        if (valid < lanes) {
          lane = Word(panels.LaneOf(panels.last(), instruction.group, full_vectors % vectors));
        } else {
          lane = builder_.CreateMul(builder_.CreateSub(vector, first_vector), Word(lanes));
          lane = builder_.CreateAdd(lane, builder_.CreateMul(group_lanes[number], Word(instruction.group)));
        }
        Value* offset = builder_.CreateAdd(builder_.CreateMul(r, row_lanes[number]), lane);
        Value* address = builder_.CreateGEP(emit_.types.real, scratch[number], offset);
        return EmitVectorLoad(narrow, address, Word(1), Size{});
      };
      RunStores(builder, row, unit, valid, RunProgram(builder, row, unit, valid, sum));
    };
    if (full_vectors > 0) {
      EmitLoop(builder_, first_vector, last_vector, Word(1), [&](Value* vector) { run(lanes, vector); });
    }
    if (tail == 0) return;
    EmitIf(builder_, at.is_last, [&] { run(tail, Word(full_vectors)); });
  });
}

KernelEmitter::PanelOperands KernelEmitter::OperandsOf(const MapProduct& product, const Indices& outer, Value* row,
                                                       Value* block) {
  const Panels& panels = emit_.plan.panels[product.panels];
  Indices indices = outer;
  indices.push_back(row);
  const Size& row_stride = product.left.axes[product.left.axes.size() - 2].stride;
  const Size& depth_stride = product.left.axes.back().stride;
  PanelOperands operands{.left = At(product.left, indices),
                         .row_stride = frame_->SizeValue(row_stride),
                         .depth_stride = frame_->SizeValue(depth_stride),
                         .panels = nullptr};
  Value* first_panel = builder_.CreateGEP(builder_.getInt8Ty(), frame_->Packed(), Word(panels.offset_bytes));
  operands.panels = builder_.CreateGEP(emit_.types.Stored(panels.format.storage), first_panel,
                                       builder_.CreateMul(block, Word(panels.block_elements())));
  return operands;
}

void KernelEmitter::EmitProducts(const std::vector<Value*>& scratch, const RowBlock& at) {
  for (size_t i = 0; i < kernel_.products.size(); ++i) {
    const MapProduct& product = kernel_.products[i];
    const Panels& panels = emit_.plan.panels[product.panels];
    auto emit = [&](const BlockColumns& columns) {
      Value* stride = Word(int64_t{columns.count()} * panels.lanes);
      EmitProductOfBlock(product, columns, at, scratch[i], stride);
    };
    if (!panels.rest) {
      emit(panels.block);
    } else if (panels.blocks() == 1) {
      emit(*panels.rest);
    } else {
      EmitChoice(builder_, at.is_last, [&] { emit(*panels.rest); }, [&] { emit(panels.block); });
    }
  }
}

void KernelEmitter::EmitStoredSums(const RowBlock& at) {
  const MapProduct& product = kernel_.products[0];
  const Panels& panels = emit_.plan.panels[product.panels];
  const View& view = kernel_.stores[0].view;
  Indices indices = at.outer;
  indices.push_back(at.row);
  Value* first_unit = builder_.CreateMul(at.block, Word(panels.block_units()));
  Value* results = builder_.CreateGEP(emit_.types.real, At(view, indices), first_unit);
  EmitProductOfBlock(product, panels.block, at, results, frame_->SizeValue(view.axes[view.axes.size() - 2].stride));
}

void KernelEmitter::EmitProductOfBlock(const MapProduct& product, const BlockColumns& columns, const RowBlock& at,
                                       Value* sums, Value* row_stride) {
  const Panels& panels = emit_.plan.panels[product.panels];
  const PanelOperands operands = OperandsOf(product, at.outer, at.row, at.block);
  int column = 0;
  for (int chunk : columns.chunks) {
    Value* panel = builder_.CreateGEP(emit_.types.Stored(panels.format.storage), operands.panels,
                                      Word(panels.depth * column * panels.lanes));
    Value* sums_of_chunk = builder_.CreateGEP(emit_.types.real, sums, Word(int64_t{column} * panels.lanes));
    const TileShape tiles = TilesOf(emit_.plan, frame_->layout().entry, kernel_, product, chunk);
    // `terms` of the sum, from term `begin` on.
    auto call = [&](Value* begin, Value* terms, Value* is_last) {
      llvm::Type* weight = emit_.types.Stored(panels.format.storage);
      const int64_t row_elements = int64_t{chunk} * panels.lanes;
      Value* first = builder_.CreateGEP(weight, panel, builder_.CreateMul(begin, Word(row_elements)));
      Value* left =
          builder_.CreateGEP(ElementOf(product.left), operands.left, builder_.CreateMul(begin, operands.depth_stride));
      std::vector<Value*> arguments{
          left, operands.row_stride, operands.depth_stride, first, terms, sums_of_chunk, row_stride, at.count};
      if (tiles.prefetches) {
        Value* blocks_ahead = builder_.CreateSub(at.next_block, at.block);
        Value* ahead = builder_.CreateMul(blocks_ahead, Word(panels.block_elements()));
        Value* after = builder_.CreateMul(builder_.CreateAdd(begin, terms), Word(row_elements));
        arguments.push_back(builder_.CreateGEP(weight, panel, builder_.CreateSelect(is_last, ahead, after)));
      }
      if (tiles.continues) arguments.push_back(begin);
      if (tiles.either_way) arguments.push_back(IsBackwards());
      builder_.CreateCall(TileRows(emit_, tiles), arguments);
    };
    if (!tiles.continues) {
      call(Word(0), Word(panels.depth), builder_.getTrue());
    } else {
      const int64_t pieces = (panels.depth + kernel_.depth - 1) / kernel_.depth;
      EmitLoop(builder_, Word(0), Word(pieces), Word(1), [&](Value* piece) {
        auto begin = [&](Value* i) {
          return builder_.CreateUDiv(builder_.CreateMul(i, Word(panels.depth)), Word(pieces));
        };
        Value* next = builder_.CreateAdd(piece, Word(1));
        Value* first = begin(piece);
        call(first, builder_.CreateSub(begin(next), first), builder_.CreateICmpEQ(next, Word(pieces)));
      });
    }
    column += chunk;
  }
}

bool KernelEmitter::HasOneRow() {
  return kernel_.chunk < 0 && std::ranges::all_of(
                                  kernel_.rows,
                                  [&](const Size& size) {
                                    auto* known = llvm::dyn_cast<llvm::ConstantInt>(frame_->SizeValue(size));
                                    return known != nullptr && known->isOne();
                                  });
}

bool KernelEmitter::HasRest() const {
  return std::ranges::any_of(
      kernel_.products, [&](const MapProduct& product) { return emit_.plan.panels[product.panels].rest.has_value(); });
}

// The sums of a block of units never leave the registers.
void KernelEmitter::EmitBlocksOfOneRow(const Indices& outer, const Row& at, const std::vector<Block>& blocks) {
  const int lanes = kernel_.lanes, vectors = kernel_.vectors;
  std::vector<std::vector<std::vector<Value*>>> sums(blocks.size());  // per block and product: its columns
  for (const MapProduct& product : kernel_.products) {
    const Panels& panels = emit_.plan.panels[product.panels];
    auto columns_of = [&](size_t b) -> const BlockColumns& { return blocks[b].is_last ? panels.last() : panels.block; };
    std::vector<PanelOperands> operands;
    for (size_t b = 0; b < blocks.size(); ++b) {
      operands.push_back(OperandsOf(product, outer, Word(0), blocks[b].number));
      sums[b].emplace_back();
    }
    // Tiles of all blocks side by side.
    for (size_t i = 0;; ++i) {
      std::vector<TilePanel> panels_of_tile;
      std::vector<std::vector<Value*>*> of_block;
      for (size_t b = 0; b < blocks.size(); ++b) {
        const std::vector<int>& chunks = columns_of(b).chunks;
        if (i >= chunks.size()) continue;
        Value* first = builder_.CreateGEP(emit_.types.Stored(panels.format.storage), operands[b].panels,
                                          Word(panels.depth * static_cast<int64_t>(sums[b].back().size()) * lanes));
        panels_of_tile.push_back({first, chunks[i]});
        of_block.push_back(&sums[b].back());
      }
      if (panels_of_tile.empty()) break;
      const TileShape shape =
          TilesOf(emit_.plan, frame_->layout().entry, kernel_, product, panels_of_tile.front().columns);
      const TileOperands tile{.shape = shape,
                              .rows = {operands[0].left},
                              .depth_stride = operands[0].depth_stride,
                              .panels = panels_of_tile,
                              .backwards = shape.either_way ? IsBackwards() : nullptr};
      const std::vector<Value*> of_tile = EmitTileSums(emit_, builder_, tile, Word(panels.depth));
      auto next = of_tile.begin();
      for (size_t p = 0; p < of_block.size(); ++p) {
        of_block[p]->insert(of_block[p]->end(), next, next + panels_of_tile[p].columns);
        next += panels_of_tile[p].columns;
      }
    }
  }
  for (size_t b = 0; b < blocks.size(); ++b) {
    Value* first_vector = builder_.CreateMul(blocks[b].number, Word(vectors));
    for (int v = 0; v < blocks[b].full_vectors + (blocks[b].valid > 0 ? 1 : 0); ++v) {
      const int count = v < blocks[b].full_vectors ? lanes : blocks[b].valid;
      LaneBuilder builder(builder_, emit_.Shape(WidthOf(count)));
      Value* unit = builder_.CreateMul(builder_.CreateAdd(first_vector, Word(v)), Word(lanes));
      auto sum = [&](LaneBuilder& narrow, const LaneInstruction& instruction) -> Value* {
        const Panels& panels = emit_.plan.panels[kernel_.products[instruction.product].panels];
        const BlockColumns& columns = blocks[b].is_last ? panels.last() : panels.block;
        const auto lane = static_cast<int>(panels.LaneOf(columns, instruction.group, v));
        return narrow.LanesOf(sums[b][instruction.product][lane / lanes], lane % lanes);
      };
      RunStores(builder, at, unit, count, RunProgram(builder, at, unit, count, sum));
    }
  }
}

void KernelEmitter::EmitProductsOfOneRow(const Indices& outer) {
  const int lanes = kernel_.lanes, vectors = kernel_.vectors, units = Units();
  const int full = units / lanes, tail = units % lanes;
  const int together = kernel_.side_by_side;
  Indices indices = outer;
  indices.push_back(Word(0));
  const Row at = BeginRow(indices);
  // Whole blocks, then the one that is cut short; threads share them.
  const int whole = full / vectors;
  const bool has_rest = units % (lanes * vectors) > 0;
  const Range own = Split(Word(whole + (has_rest ? 1 : 0)), Threads(), Thread());
  Value* end = Minimum(own.end, Word(whole));
  Value* last = builder_.CreateSub(builder_.CreateAdd(own.begin, end), Word(1));
  auto in_order = [&](Value* block) -> Value* {
    if (!Alternates()) return block;
    return builder_.CreateSelect(IsBackwards(), builder_.CreateSub(last, block), block);
  };
  auto groups = [&](Value* begin, Value* group_end, int count) {
    EmitLoop(builder_, begin, group_end, Word(count), [&](Value* block) {
      std::vector<Block> blocks;
      for (int i = 0; i < count; ++i) blocks.push_back({in_order(builder_.CreateAdd(block, Word(i))), vectors, 0});
      EmitBlocksOfOneRow(outer, at, blocks);
    });
  };
  const Block rest{Word(whole), full % vectors, tail, true};
  const bool is_alone = llvm::isa<llvm::ConstantInt>(own.begin) && llvm::isa<llvm::ConstantInt>(own.end);
  if (is_alone) {
    // The rest joins the blocks that are left; of less than a block the sums alone would wait for each other.
    const int left = whole % together == 0 && HasRest() ? std::min(whole, together) : whole % together;
    groups(Word(0), Word(whole - left), together);
    std::vector<Block> blocks;
    for (int i = whole - left; i < whole; ++i) blocks.push_back({in_order(Word(i)), vectors, 0});
    if (has_rest) blocks.push_back(rest);
    if (!blocks.empty()) EmitBlocksOfOneRow(outer, at, blocks);
    return;
  }
  Value* count = builder_.CreateSub(end, own.begin);
  Value* grouped_end = builder_.CreateSub(end, builder_.CreateURem(count, Word(together)));
  if (together > 1) groups(own.begin, grouped_end, together);
  groups(together > 1 ? grouped_end : own.begin, end, 1);
  if (!has_rest) return;
  EmitIf(builder_, builder_.CreateICmpSGT(own.end, Word(whole)), [&] { EmitBlocksOfOneRow(outer, at, {rest}); });
}

}  // namespace recurve
