// compiler/emit_recurrence.cpp: Recurrence kernels: the loop over time innermost, states carried as SSA values.

#include "compiler/emit_kernel.h"

namespace recurve {

void KernelEmitter::EmitRecurrence() {
  const int lanes = kernel_.lanes, vectors = kernel_.vectors;
  const int full = Units() / lanes, tail = Units() % lanes, rest = full % vectors;
  Range rows = SplitAmongThreads(RowRange(0));
  EmitLoop(builder_, rows.begin, rows.end, Word(1), [&](Value* r) {
    const Indices row{r};
    if (full >= vectors) {
      const int64_t group = int64_t{vectors} * lanes;
      EmitLoop(builder_, Word(0), Word(full / vectors * group), Word(group),
               [&](Value* unit) { EmitSteps(row, unit, vectors, lanes); });
    }
    if (rest > 0) EmitSteps(row, Word(int64_t{full - rest} * lanes), rest, lanes);
    if (tail > 0) EmitSteps(row, Word(int64_t{full} * lanes), 1, tail);
  });
}

// All steps of `vectors` vectors of units from `first_unit` on, side by side, so that one chain hides the latency of
// the others. States that only the next step reads are stored once, at the end.
void KernelEmitter::EmitSteps(const Indices& indices, Value* first_unit, int vectors, int valid) {
  const Recurrence& recurrence = kernel_.recurrence;
  LaneBuilder lanes(builder_, emit_.Shape(WidthOf(valid)));
  std::vector<Value*> units;
  for (int v = 0; v < vectors; ++v) {
    units.push_back(builder_.CreateAdd(first_unit, Word(int64_t{v} * kernel_.lanes)));
  }
  Value* begin = Word(0);
  Value* end = frame_->SizeValue(SizeOf(recurrence.time));
  if (recurrence.chunk >= 0) {
    begin = frame_->ChunkBegin(recurrence.chunk);
    end = frame_->ChunkEnd(recurrence.chunk);
  }
  Value* last = builder_.CreateSub(end, Word(1));
  auto is_only_carried = [&](size_t store) {
    const View& view = kernel_.stores[store].view;
    bool in_ring = std::ranges::any_of(view.offset, [](const OffsetTerm& term) { return term.ring; });
    auto of_store = [&](const Recurrence::Carried& carried) { return carried.store == static_cast<int>(store); };
    return in_ring && std::ranges::any_of(recurrence.carried, of_store);
  };
  auto store_value = [&](size_t i, int v, Value* value) {
    const View& view = kernel_.stores[i].view;
    Value* stride = StrideOf(view);
    Value* pointer = builder_.CreateGEP(ElementOf(view), At(view, indices), builder_.CreateMul(units[v], stride));
    EmitVectorStore(lanes, value, pointer, stride, view.axes.back().stride, valid, StorageOf(view));
  };

  time_ = recurrence.reverse ? last : begin;
  std::vector<Value*> initial;  // per vector, per carried value
  for (int v = 0; v < vectors; ++v) {
    for (const Recurrence::Carried& carried : recurrence.carried) {
      const View& view = kernel_.program[carried.load].view;
      Value* stride = StrideOf(view);
      Value* pointer = builder_.CreateGEP(ElementOf(view), At(view, indices), builder_.CreateMul(units[v], stride));
      initial.push_back(EmitVectorLoad(lanes, pointer, stride, view.axes.back().stride, valid, StorageOf(view)));
    }
  }
  const size_t states = recurrence.carried.size();
  Value* steps = builder_.CreateSub(end, begin);
  std::vector<Value*> final = EmitCarriedLoop(steps, initial, [&](Value* i, std::vector<Value*> carried) {
    time_ = recurrence.reverse ? builder_.CreateSub(last, i) : builder_.CreateAdd(begin, i);
    Row row = BeginRow(indices);
    std::vector<std::vector<Lane>> values(vectors);
    for (size_t k = 0; k < kernel_.program.size(); ++k) {
      auto of_load = [&](const Recurrence::Carried& c) { return c.load == static_cast<int>(k); };
      auto state = std::ranges::find_if(recurrence.carried, of_load);
      for (int v = 0; v < vectors; ++v) {
        const size_t at = v * states + static_cast<size_t>(state - recurrence.carried.begin());
        values[v].push_back(state != recurrence.carried.end()
                                ? lanes.Wrap(carried[at])
                                : RunInstruction(lanes, row, units[v], valid, nullptr, k, values[v]));
      }
    }
    for (size_t s = 0; s < kernel_.stores.size(); ++s) {
      if (is_only_carried(s)) continue;
      for (int v = 0; v < vectors; ++v) store_value(s, v, values[v][kernel_.stores[s].value].value);
    }
    for (int v = 0; v < vectors; ++v) {
      for (size_t c = 0; c < states; ++c) {
        carried[v * states + c] = values[v][kernel_.stores[recurrence.carried[c].store].value].value;
      }
    }
    return carried;
  });
  time_ = recurrence.reverse ? begin : last;
  for (int v = 0; v < vectors; ++v) {
    for (size_t c = 0; c < states; ++c) {
      const auto store = static_cast<size_t>(recurrence.carried[c].store);
      if (is_only_carried(store)) store_value(store, v, final[v * states + c]);
    }
  }
}

}  // namespace recurve
