// compiler/emit_reduce.cpp: Reduce kernels (sums and maxima over axes) and Scatter kernels.
//
// Every result is summed by one thread in one order, so that it has the same bits for any number of threads.

#include <limits>
#include <span>

#include "compiler/emit_kernel.h"

namespace recurve {
namespace {

ir::Op Combiner(ReduceKind kind) { return kind == ReduceKind::kSum ? ir::Op::kAdd : ir::Op::kMax; }

double Identity(ReduceKind kind) { return kind == ReduceKind::kSum ? 0.0 : -std::numeric_limits<double>::infinity(); }

}  // namespace

void KernelEmitter::EmitReduce() {
  EmitOwnRows(0, [&](Range rows) { EmitReduceRows(IsSharedByUnits(kernel_) ? rows : SplitAmongThreads(rows)); });
}

void KernelEmitter::EmitReduceRows(Range split) {
  Indices rows;
  EmitLoop(builder_, split.begin, split.end, Word(1), [&](Value* first) {
    rows.push_back(first);
    std::vector<Range> inner;
    for (size_t axis = 1; axis < kernel_.rows.size(); ++axis) inner.push_back(RowRange(axis));
    EmitNest(inner, rows, [&] {
      if (kernel_.reduce_units) {
        EmitReduceUnits(rows);
        return;
      }
      if (kernel_.block_rows == 1) return EmitReduceColumns(rows);
      // Some terms of all units, then the next terms: a column to its end would be on another page with every term.
      Range all = ReducedRange(0);
      EmitLoop(builder_, all.begin, all.end, Word(kernel_.block_rows), [&](Value* begin) {
        Value* end = Minimum(builder_.CreateAdd(begin, Word(kernel_.block_rows)), all.end);
        terms_ = Terms{{begin, end}, builder_.CreateICmpEQ(begin, all.begin)};
        EmitReduceColumns(rows);
        terms_.reset();
      });
    });
    rows.pop_back();
  });
}

// Units are results: as many vectors side by side as the plan says, then single ones, then the rest of a vector.
void KernelEmitter::EmitReduceColumns(const Indices& rows) {
  const int lanes = kernel_.lanes, vectors = kernel_.vectors, units = Units();
  const int wide = units / (lanes * vectors), full = units / lanes, tail = units % lanes;
  const bool is_shared = IsSharedByUnits(kernel_);
  auto run = [&](int begin, int end, int side_by_side) {
    Range own{Word(begin), Word(end)};
    if (is_shared) own = SplitAmongThreads(own);
    EmitLoop(builder_, own.begin, own.end, Word(1), [&](Value* i) {
      EmitReduceRow(rows, builder_.CreateMul(i, Word(int64_t{lanes} * side_by_side)), side_by_side, lanes);
    });
  };
  if (wide > 0) run(0, wide, vectors);
  if (full > wide * vectors) run(wide * vectors, full, 1);
  if (tail == 0) return;
  auto run_tail = [&] { EmitReduceRow(rows, Word(int64_t{full} * lanes), 1, tail); };
  if (!is_shared) return run_tail();
  Value* last = builder_.CreateSub(frame_->ThreadCount(), Word(1));
  EmitIf(builder_, builder_.CreateICmpEQ(frame_->ThreadIndex(), last), run_tail);
}

// Results [first_unit, first_unit + vectors * valid) of one row, for each store. LLVM would keep the sums in registers
// for a single reduced axis only, so that the innermost loop carries them by hand.
void KernelEmitter::EmitReduceRow(const Indices& rows, Value* first_unit, int vectors, int valid) {
  LaneBuilder lanes(builder_, emit_.Shape(WidthOf(valid)));
  Value* identity = lanes.Constant(Identity(kernel_.reduce)).value;
  auto unit_of = [&](int v) { return builder_.CreateAdd(first_unit, Word(int64_t{v} * valid)); };
  // [store][vector]: sums over all but the last reduced axis live in stack slots; those over the last one in registers.
  struct Sum {
    const LaneStore* store;
    Value* stride;
    Value* slot;
    Value* place;
  };
  std::vector<Sum> all;
  {
    llvm::IRBuilder<> builder(entry_, entry_->begin());
    for (const LaneStore& store : kernel_.stores) {
      for (int v = 0; v < vectors; ++v) all.push_back({&store, nullptr, builder.CreateAlloca(lanes.type()), nullptr});
    }
  }
  for (size_t i = 0; i < all.size(); ++i) {
    Sum& sum = all[i];
    sum.stride = StrideOf(sum.store->view);
    Value* unit = unit_of(static_cast<int>(i) % vectors);
    sum.place = builder_.CreateGEP(emit_.types.real, At(sum.store->view, rows), builder_.CreateMul(unit, sum.stride));
  }
  Value* first_chunk = IsFirstChunk();
  if (terms_) {
    first_chunk = first_chunk == nullptr ? terms_->are_first : builder_.CreateAnd(first_chunk, terms_->are_first);
  }
  for (const Sum& sum : all) {
    Value* start = identity;
    if (first_chunk != nullptr) {
      Value* before = EmitVectorLoad(lanes, sum.place, sum.stride, sum.store->view.axes.back().stride, valid);
      start = builder_.CreateSelect(first_chunk, identity, before);
    }
    builder_.CreateStore(start, sum.slot);
  }
  Indices indices = rows;
  std::vector<Range> outer;
  for (size_t axis = 0; axis + 1 < kernel_.reduced.size(); ++axis) outer.push_back(ReducedRange(axis));
  EmitNest(outer, indices, [&] {
    auto accumulate = [&](const std::vector<Value*>& sums) {
      Row row = BeginRow(indices);
      std::vector<Value*> next(sums.size());
      for (int v = 0; v < vectors; ++v) {
        const std::vector<Lane> values = RunProgram(lanes, row, unit_of(v), valid, nullptr);
        for (size_t i = static_cast<size_t>(v); i < all.size(); i += static_cast<size_t>(vectors)) {
          const Lane value = values[all[i].store->value];
          next[i] = lanes.Elementwise(Combiner(kernel_.reduce), {{lanes.Wrap(sums[i]), value}}).value;
        }
      }
      return next;
    };
    std::vector<Value*> sums;
    for (const Sum& sum : all) sums.push_back(builder_.CreateLoad(lanes.type(), sum.slot));
    if (kernel_.reduced.empty()) {
      sums = accumulate(sums);
    } else {
      Range range = ReducedRange(kernel_.reduced.size() - 1);
      Value* count = builder_.CreateSub(range.end, range.begin);
      sums = EmitCarriedLoop(builder_, count, sums, [&](Value* i, std::vector<Value*> carried) {
        indices.push_back(builder_.CreateAdd(range.begin, i));
        std::vector<Value*> next = accumulate(carried);
        indices.pop_back();
        return next;
      });
    }
    for (size_t i = 0; i < all.size(); ++i) builder_.CreateStore(sums[i], all[i].slot);
  });
  for (const Sum& sum : all) {
    Value* value = builder_.CreateLoad(lanes.type(), sum.slot);
    EmitVectorStore(lanes, value, sum.place, sum.stride, sum.store->view.axes.back().stride, valid);
  }
}

// One result for each store: lanes run along the units, which may be a run-time size; the lanes are folded at the end.
void KernelEmitter::EmitReduceUnits(const Indices& rows) {
  LaneBuilder wide(builder_, emit_.Shape(kernel_.lanes)), narrow(builder_, emit_.Shape(1));
  const int lanes = kernel_.lanes, vectors = kernel_.vectors;
  Value* units = frame_->SizeValue(SizeOf(kernel_.units));
  auto whole = [&](int size) { return builder_.CreateMul(builder_.CreateUDiv(units, Word(size)), Word(size)); };
  Value* side_by_side = whole(lanes * vectors);
  Value* full = whole(lanes);
  Value* identity = narrow.Constant(Identity(kernel_.reduce)).value;
  llvm::IRBuilder<> at_entry(entry_, entry_->begin());
  // [vector][store], so that the slots of the first vector come first.
  const size_t stores = kernel_.stores.size();
  std::vector<Value*> wide_slots, narrow_slots;
  for (size_t i = 0; i < stores * static_cast<size_t>(vectors); ++i)
    wide_slots.push_back(at_entry.CreateAlloca(wide.type()));
  for (size_t i = 0; i < stores; ++i) narrow_slots.push_back(at_entry.CreateAlloca(narrow.type()));
  for (Value* slot : wide_slots) builder_.CreateStore(wide.Constant(Identity(kernel_.reduce)).value, slot);
  for (Value* slot : narrow_slots) builder_.CreateStore(identity, slot);
  ir::Op combine = Combiner(kernel_.reduce);
  Indices indices = rows;
  std::vector<Range> reduced;
  for (size_t axis = 0; axis < kernel_.reduced.size(); ++axis) reduced.push_back(ReducedRange(axis));
  EmitNest(reduced, indices, [&] {
    Row row = BeginRow(indices);
    // Units [begin, end), as many vectors at a time as there are slots for.
    auto run = [&](LaneBuilder& builder, std::span<Value* const> slots, Value* begin, Value* end) {
      const size_t vectors_of_slots = slots.size() / stores;
      const int width = builder.shape().width, step = width * static_cast<int>(vectors_of_slots);
      std::vector<Value*> sums;
      for (Value* slot : slots) sums.push_back(builder_.CreateLoad(builder.type(), slot));
      Value* count = builder_.CreateUDiv(builder_.CreateSub(end, begin), Word(step));
      sums = EmitCarriedLoop(builder_, count, sums, [&](Value* i, std::vector<Value*> carried) {
        for (size_t v = 0; v < vectors_of_slots; ++v) {
          Value* offset = builder_.CreateAdd(builder_.CreateMul(i, Word(step)), Word(static_cast<int64_t>(v) * width));
          const std::vector<Lane> values = RunProgram(builder, row, builder_.CreateAdd(begin, offset), 0, nullptr);
          for (size_t s = 0; s < stores; ++s) {
            Value*& sum = carried[v * stores + s];
            sum = builder.Elementwise(combine, {{builder.Wrap(sum), values[kernel_.stores[s].value]}}).value;
          }
        }
        return carried;
      });
      for (size_t i = 0; i < slots.size(); ++i) builder_.CreateStore(sums[i], slots[i]);
    };
    run(wide, wide_slots, Word(0), side_by_side);
    if (vectors > 1) run(wide, std::span(wide_slots).first(stores), side_by_side, full);
    if (lanes > 1) run(narrow, narrow_slots, full, units);
  });
  const llvm::Align align(static_cast<uint64_t>(emit_.types.real_bytes));
  Value* first_chunk = IsFirstChunk();
  for (size_t s = 0; s < stores; ++s) {
    Lane folded = wide.Wrap(builder_.CreateLoad(wide.type(), wide_slots[s]));
    for (size_t i = s + stores; i < wide_slots.size(); i += stores) {
      Lane other = wide.Wrap(builder_.CreateLoad(wide.type(), wide_slots[i]));
      folded = wide.Elementwise(combine, {{folded, other}});
    }
    Value* across = kernel_.reduce == ReduceKind::kSum ? wide.HorizontalSum(folded) : wide.HorizontalMax(folded);
    Lane rest = narrow.Wrap(builder_.CreateLoad(narrow.type(), narrow_slots[s]));
    Value* result = narrow.Elementwise(combine, {{narrow.Wrap(across), rest}}).value;
    Value* out = At(kernel_.stores[s].view, rows);
    if (first_chunk != nullptr) {
      Value* before = builder_.CreateAlignedLoad(emit_.types.real, out, align);
      before = builder_.CreateSelect(first_chunk, identity, before);
      result = narrow.Elementwise(combine, {{narrow.Wrap(before), narrow.Wrap(result)}}).value;
    }
    builder_.CreateAlignedStore(result, out, align);
  }
}

// table[index[row]] += updates[row], by one thread: rows may meet in the table.
void KernelEmitter::EmitScatter() {
  const int lanes = kernel_.lanes, units = Units();
  const int full = units / lanes, tail = units % lanes;
  auto for_units = [&](const std::function<void(LaneBuilder&, Value*)>& body) {
    LaneBuilder wide(builder_, emit_.Shape(lanes)), narrow(builder_, emit_.Shape(std::max(tail, 1)));
    if (full > 0) {
      EmitLoop(builder_, Word(0), Word(full), Word(1),
               [&](Value* vector) { body(wide, builder_.CreateMul(vector, Word(lanes))); });
    }
    if (tail > 0) body(narrow, Word(int64_t{full} * lanes));
  };
  const Size& out_stride = kernel_.out.axes.back().stride;
  Value* table_stride = frame_->SizeValue(kernel_.table.stride);
  EmitIf(builder_, builder_.CreateICmpEQ(frame_->ThreadIndex(), Word(0)), [&] {
    EmitLoop(builder_, Word(0), frame_->SizeValue(SizeOf(kernel_.table.extent)), Word(1), [&](Value* table_row) {
      // Axes of the index have stride 0 here, so only those of a row of the table are walked.
      std::vector<Range> ranges;
      for (size_t axis = 0; axis < kernel_.rows.size(); ++axis) {
        bool of_row = kernel_.out.axes[axis].stride.factor != 0;
        ranges.push_back(of_row ? RowRange(axis) : Range{Word(0), Word(1)});
      }
      Indices indices;
      EmitNest(ranges, indices, [&] {
        Value* row =
            builder_.CreateGEP(emit_.types.real, At(kernel_.out, indices), builder_.CreateMul(table_row, table_stride));
        for_units([&](LaneBuilder& builder, Value* unit) {
          Value* stride = StrideOf(kernel_.out);
          Value* pointer = builder_.CreateGEP(emit_.types.real, row, builder_.CreateMul(unit, stride));
          EmitVectorStore(builder, builder.Constant(0).value, pointer, stride, out_stride);
        });
      });
    });
    std::vector<Range> ranges;
    for (size_t axis = 0; axis < kernel_.rows.size(); ++axis) ranges.push_back(RowRange(axis));
    Indices indices;
    EmitNest(ranges, indices, [&] {
      Value* index = builder_.CreateLoad(emit_.types.index, At(kernel_.left, indices));
      Value* offset = builder_.CreateMul(builder_.CreateSExtOrTrunc(index, emit_.types.size), table_stride);
      Value* row = builder_.CreateGEP(emit_.types.real, At(kernel_.out, indices), offset);
      Value* update = At(kernel_.right, indices);
      for_units([&](LaneBuilder& builder, Value* unit) {
        Value* stride = StrideOf(kernel_.out);
        Value* update_stride = StrideOf(kernel_.right);
        Value* pointer = builder_.CreateGEP(emit_.types.real, row, builder_.CreateMul(unit, stride));
        Value* from = builder_.CreateGEP(ElementOf(kernel_.right), update, builder_.CreateMul(unit, update_stride));
        Lane added = builder.Wrap(EmitVectorLoad(builder, from, update_stride, kernel_.right.axes.back().stride, 0,
                                                 StorageOf(kernel_.right)));
        Lane present = builder.Wrap(EmitVectorLoad(builder, pointer, stride, out_stride));
        Lane sum = builder.Elementwise(ir::Op::kAdd, {{present, added}});
        EmitVectorStore(builder, sum.value, pointer, stride, out_stride);
      });
    });
  });
}

}  // namespace recurve
