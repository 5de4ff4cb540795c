// compiler/emit_recurrence.cpp: Recurrence kernels: the loop over time innermost, states carried as SSA values.
//
// What runs side by side is a bundle of strips. A strip is one vector: units of one row, or the few units that `fold`
// rows have each. Threads share bundles, and every row is in the same kind of bundle for any number of threads.

#include <algorithm>
#include <map>

#include "compiler/emit_kernel.h"

namespace recurve {

using Kind = LaneInstruction::Kind;

class RecurrenceEmitter {
 public:
  explicit RecurrenceEmitter(KernelEmitter& emitter)
      : emitter_(emitter),
        kernel_(emitter.kernel_),
        recurrence_(emitter.kernel_.recurrence),
        builder_(emitter.builder_),
        program_(kernel_.program) {
    const std::vector<LaneInstruction>& more = recurrence_.look_ahead.program;
    program_.insert(program_.end(), more.begin(), more.end());
    FindDependences();
  }

  void Run() {
    std::vector<KernelEmitter::Range> outer;
    for (size_t axis = 0; axis + 1 < kernel_.rows.size(); ++axis) outer.push_back(emitter_.RowRange(axis));
    emitter_.EmitNest(outer, outer_, [&] {
      const int full = emitter_.Units() / kernel_.lanes, rest = emitter_.Units() % kernel_.lanes;
      if (full > kernel_.vectors) {
        EmitLongRows(full);
      } else if (full > 0) {
        EmitRows(0, full, kernel_.lanes, 1);
      }
      if (rest > 0) EmitRows(full * kernel_.lanes, 1, rest, recurrence_.fold);
    });
  }

 private:
  // A vector of `valid` units from `unit` on, in each of `fold` rows from `row` on; both count from the bundle's.
  struct Strip {
    int row = 0;
    int unit = 0;
  };
  struct Bundle {
    Value* row = nullptr;
    Value* unit = nullptr;
    std::vector<Strip> strips;
    int valid = 0;
    int fold = 1;
    int steps = 1;  // at a time
  };
  // Per strip, per instruction; null where there is no value yet.
  using Values = std::vector<std::vector<Lane>>;

  llvm::ConstantInt* Word(int64_t value) const { return emitter_.Word(value); }
  size_t States() const { return recurrence_.carried.size(); }
  int NextOf(size_t state) const { return kernel_.stores[recurrence_.carried[state].store].value; }

  // ---- Bundles ----

  // Rows with more vectors than run side by side: bundles of `vectors`, and one of the vectors that are left.
  void EmitLongRows(int full) {
    const int wide = full / kernel_.vectors, left = full % kernel_.vectors, bundles = wide + (left > 0 ? 1 : 0);
    KernelEmitter::Range rows = emitter_.RowRange(kernel_.rows.size() - 1);
    KernelEmitter::Range all{builder_.CreateMul(rows.begin, Word(bundles)),
                             builder_.CreateMul(rows.end, Word(bundles))};
    KernelEmitter::Range own = emitter_.SplitAmongThreads(all);
    EmitLoop(builder_, own.begin, own.end, Word(1), [&](Value* i) {
      Value* row = builder_.CreateUDiv(i, Word(bundles));
      Value* number = builder_.CreateURem(i, Word(bundles));
      auto run = [&](int vectors) {
        Value* unit = builder_.CreateMul(number, Word(int64_t{kernel_.vectors} * kernel_.lanes));
        EmitSteps({.row = row, .unit = unit, .strips = StripsOf(1, vectors, 1), .valid = kernel_.lanes});
      };
      if (left == 0) return run(kernel_.vectors);
      EmitIf(builder_, builder_.CreateICmpSLT(number, Word(wide)), [&] { run(kernel_.vectors); });
      EmitIf(builder_, builder_.CreateICmpEQ(number, Word(wide)), [&] { run(left); });
    });
  }

  // `vectors` vectors from `unit` on, all of a row, or the last one, which several rows share: as many rows as run side
  // by side, then as share a vector, then single ones.
  void EmitRows(int unit, int vectors, int valid, int fold) {
    KernelEmitter::Range rows = emitter_.RowRange(kernel_.rows.size() - 1);
    const int most = recurrence_.rows * fold;
    // A batch without a whole bundle has no other work while a step waits for the one before.
    Value* few = nullptr;
    if (recurrence_.look_ahead.steps > 1) {
      few = builder_.CreateICmpULT(emitter_.frame_->SizeValue(kernel_.rows.back()), Word(most));
    }
    std::vector<std::pair<int, int>> kinds;  // rows side by side, of so many rows a vector
    if (most > fold) kinds.emplace_back(recurrence_.rows, fold);
    if (fold > 1) kinds.emplace_back(1, fold);
    kinds.emplace_back(1, 1);
    for (auto [side_by_side, folded] : kinds) {
      const int count = side_by_side * folded;
      Value* bundles = builder_.CreateUDiv(builder_.CreateSub(rows.end, rows.begin), Word(count));
      KernelEmitter::Range own = emitter_.SplitAmongThreads({Word(0), bundles});
      auto run = [&](int steps) {
        EmitLoop(builder_, own.begin, own.end, Word(1), [&](Value* i) {
          Value* row = builder_.CreateAdd(rows.begin, builder_.CreateMul(i, Word(count)));
          EmitSteps({.row = row,
                     .unit = Word(unit),
                     .strips = StripsOf(side_by_side, vectors, folded),
                     .valid = valid,
                     .fold = folded,
                     .steps = steps});
        });
      };
      if (few == nullptr || side_by_side > 1) {
        run(1);
      } else {
        EmitIf(builder_, few, [&] { run(recurrence_.look_ahead.steps); });
        EmitIf(builder_, builder_.CreateNot(few), [&] { run(1); });
      }
      rows.begin = builder_.CreateAdd(rows.begin, builder_.CreateMul(bundles, Word(count)));
    }
  }

  std::vector<Strip> StripsOf(int rows, int vectors, int fold) const {
    std::vector<Strip> strips;
    for (int row = 0; row < rows; ++row) {
      for (int v = 0; v < vectors; ++v) strips.push_back({row * fold, v * kernel_.lanes});
    }
    return strips;
  }

  // ---- Memory ----

  KernelEmitter::Indices At(const Bundle& bundle) const {
    KernelEmitter::Indices indices = outer_;
    indices.push_back(bundle.row);
    return indices;
  }

  // Makes the addresses of step 0 before the loop.
  void BeginBundle(const Bundle& bundle) {
    starts_.clear();
    emitter_.time_ = nullptr;
    auto add = [&](const View& view) {
      Value* units = builder_.CreateMul(bundle.unit, emitter_.StrideOf(view));
      starts_[&view] = builder_.CreateGEP(emitter_.ElementOf(view), emitter_.At(view, At(bundle)), units);
    };
    for (const LaneInstruction& instruction : kernel_.program) {
      if (instruction.kind == Kind::kLoad) add(instruction.view);
    }
    for (const LaneStore& store : kernel_.stores) add(store.view);
  }

  // At the step `time_`, `row` rows and `unit` units from the bundle's.
  Value* Pointer(const View& view, int row, int unit) {
    Value* pointer = starts_.at(&view);
    llvm::Type* element = emitter_.ElementOf(view);
    if (Value* offset = emitter_.StepOffset(view)) pointer = builder_.CreateGEP(element, pointer, offset);
    Value* rows = builder_.CreateMul(Word(row), emitter_.frame_->SizeValue(RowStride(view)));
    Value* units = builder_.CreateMul(Word(unit), emitter_.StrideOf(view));
    return builder_.CreateGEP(element, pointer, builder_.CreateAdd(rows, units));
  }

  const Size& RowStride(const View& view) const { return view.axes[kernel_.rows.size() - 1].stride; }
  static const Size& UnitStride(const View& view) { return view.axes.back().stride; }
  // Whether the units of one row follow those of the row before without a gap.
  bool IsDense(const View& view, int valid) const {
    return UnitStride(view) == Size{} && RowStride(view) == Size{valid, {}};
  }

  // The lanes of `parts`, each the first `valid` of a vector, one after the other; a single part fills all.
  Value* Joined(LaneBuilder& lanes, const std::vector<Value*>& parts, const Bundle& bundle) {
    const int width = lanes.shape().width;
    Value* joined = llvm::PoisonValue::get(lanes.type());
    for (size_t j = 0; j < parts.size(); ++j) {
      Value* part = parts[j];
      if (!part->getType()->isVectorTy()) part = builder_.CreateVectorSplat(width, part);
      const bool repeat = parts.size() == 1;
      std::vector<int> spread(static_cast<size_t>(width), llvm::PoisonMaskElem), blend;
      for (int lane = 0; lane < width; ++lane) {
        const int row = lane / bundle.valid;
        const bool here = row < bundle.fold && (repeat || row == static_cast<int>(j));
        if (here) spread[lane] = lane % bundle.valid;
        blend.push_back(here ? width + lane : lane);
      }
      Value* wide = builder_.CreateShuffleVector(part, spread);
      joined = repeat ? wide : builder_.CreateShuffleVector(joined, wide, blend);
    }
    return joined;
  }

  Value* LoadPart(LaneBuilder& lanes, const View& view, const Strip& strip, int row, int valid) {
    Value* pointer = Pointer(view, strip.row + row, strip.unit);
    if (UnitStride(view).factor == 0) return lanes.Splat(emitter_.LoadScalar(view, pointer)).value;
    return EmitVectorLoad(lanes, pointer, emitter_.StrideOf(view), UnitStride(view), valid, emitter_.StorageOf(view));
  }

  Value* Load(LaneBuilder& lanes, const Bundle& bundle, const Strip& strip, const View& view) {
    if (bundle.fold == 1) return LoadPart(lanes, view, strip, 0, bundle.valid);
    if (IsDense(view, bundle.valid)) return LoadPart(lanes, view, strip, 0, bundle.valid * bundle.fold);
    LaneBuilder narrow(builder_, emitter_.emit_.Shape(WidthOf(bundle.valid)));
    std::vector<Value*> parts;
    for (int row = 0; row < (RowStride(view).factor == 0 ? 1 : bundle.fold); ++row) {
      parts.push_back(LoadPart(narrow, view, strip, row, bundle.valid));
    }
    return Joined(lanes, parts, bundle);
  }

  void Store(LaneBuilder& lanes, const Bundle& bundle, const Strip& strip, const View& view, Value* value) {
    auto store = [&](LaneBuilder& part_lanes, Value* part, int row, int valid) {
      EmitVectorStore(part_lanes, part, Pointer(view, strip.row + row, strip.unit), emitter_.StrideOf(view),
                      UnitStride(view), valid, emitter_.StorageOf(view));
    };
    if (bundle.fold == 1) return store(lanes, value, 0, bundle.valid);
    if (IsDense(view, bundle.valid)) return store(lanes, value, 0, bundle.valid * bundle.fold);
    LaneBuilder narrow(builder_, emitter_.emit_.Shape(WidthOf(bundle.valid)));
    for (int row = 0; row < bundle.fold; ++row) {
      Value* part = nullptr;
      if (narrow.shape().width == 1) {
        part = builder_.CreateExtractElement(value, static_cast<uint64_t>(row));
      } else {
        std::vector<int> order(static_cast<size_t>(narrow.shape().width), llvm::PoisonMaskElem);
        for (int lane = 0; lane < bundle.valid; ++lane) order[lane] = row * bundle.valid + lane;
        part = builder_.CreateShuffleVector(value, order);
      }
      store(narrow, part, row, bundle.valid);
    }
  }

  // ---- Steps ----

  // Which instructions wait for states, and which of those next states and stores need.
  void FindDependences() {
    waits_.assign(program_.size(), false);
    for (const Recurrence::Carried& carried : recurrence_.carried) waits_[carried.load] = true;
    for (size_t i = 0; i < program_.size(); ++i) {
      if (program_[i].kind != Kind::kElementwise) continue;
      for (int arg : program_[i].args) waits_[i] = waits_[i] || waits_[arg];
    }
    for_next_.assign(program_.size(), false);
    for (size_t c = 0; c < States(); ++c) for_next_[NextOf(c)] = true;
    for (size_t i = program_.size(); i-- > 0;) {
      if (!for_next_[i] || program_[i].kind != Kind::kElementwise) continue;
      for (int arg : program_[i].args) for_next_[arg] = true;
    }
  }

  // A state that only the next step reads is stored once, at the end.
  bool IsOnlyCarried(size_t store) const {
    const View& view = kernel_.stores[store].view;
    bool in_ring = std::ranges::any_of(view.offset, [](const OffsetTerm& term) { return term.ring; });
    auto of_store = [&](const Recurrence::Carried& carried) { return carried.store == static_cast<int>(store); };
    return in_ring && std::ranges::any_of(recurrence_.carried, of_store);
  }

  Lane Compute(LaneBuilder& lanes, const Bundle& bundle, const Strip& strip, size_t i,
               const std::vector<Lane>& values) {
    const LaneInstruction& instruction = program_[i];
    switch (instruction.kind) {
      case Kind::kConstant: return lanes.Constant(instruction.value);
      case Kind::kElementwise: {
        std::vector<Lane> operands;
        for (int arg : instruction.args) operands.push_back(values[arg]);
        return lanes.Elementwise(instruction.op, operands);
      }
      case Kind::kLoad: return lanes.Wrap(Load(lanes, bundle, strip, kernel_.program[i].view));
      case Kind::kSum:
      case Kind::kGather:
      case Kind::kOneHot:
      case Kind::kUnitIndex:
      case Kind::kRowIndex:
      case Kind::kIndex:
      case Kind::kExtent: break;
    }
    // Row by row, as in any other kernel.
    LaneBuilder narrow(builder_, emitter_.emit_.Shape(WidthOf(bundle.valid)));
    Value* unit = builder_.CreateAdd(bundle.unit, Word(strip.unit));
    std::vector<Value*> parts;
    for (int row = 0; row < bundle.fold; ++row) {
      KernelEmitter::Indices indices = outer_;
      indices.push_back(builder_.CreateAdd(bundle.row, Word(strip.row + row)));
      KernelEmitter::Row begun = emitter_.BeginRow(indices);
      parts.push_back(emitter_.RunInstruction(narrow, begun, unit, bundle.valid, nullptr, i, {}).value);
    }
    return lanes.Wrap(bundle.fold == 1 ? parts[0] : Joined(lanes, parts, bundle));
  }

  // Every instruction for which `wanted` holds and that has no value yet, strip by strip.
  template <typename Wanted>
  void ComputeAll(LaneBuilder& lanes, const Bundle& bundle, Values& values, Wanted wanted) {
    for (size_t i = 0; i < program_.size(); ++i) {
      if (wanted(i)) ComputeOne(lanes, bundle, values, i);
    }
  }
  void ComputeOne(LaneBuilder& lanes, const Bundle& bundle, Values& values, size_t i) {
    for (size_t s = 0; s < bundle.strips.size(); ++s) {
      if (values[s][i].value == nullptr) values[s][i] = Compute(lanes, bundle, bundle.strips[s], i, values[s]);
    }
  }

  // The rest of a step, each value stored as soon as it is there, unless a load that follows may want what it replaces.
  void ComputeAndStore(LaneBuilder& lanes, const Bundle& bundle, Values& values) {
    auto is_loaded_after = [&](int buffer, size_t i) {
      return std::any_of(kernel_.program.begin() + static_cast<ptrdiff_t>(i), kernel_.program.end(),
                         [&](const LaneInstruction& other) { return other.view.buffer == buffer; });
    };
    std::vector<size_t> left;
    for (size_t s = 0; s < kernel_.stores.size(); ++s) {
      if (!IsOnlyCarried(s)) left.push_back(s);
    }
    for (size_t i = 0; i < kernel_.program.size(); ++i) {
      ComputeOne(lanes, bundle, values, i);
      std::erase_if(left, [&](size_t s) {
        const LaneStore& store = kernel_.stores[s];
        if (store.value != static_cast<int>(i) || is_loaded_after(store.view.buffer, i)) return false;
        StoreOne(lanes, bundle, values, store);
        return true;
      });
    }
    for (size_t s : left) StoreOne(lanes, bundle, values, kernel_.stores[s]);
  }

  void SetState(LaneBuilder& lanes, Values& values, size_t strip, const std::vector<Value*>& carried) const {
    for (size_t c = 0; c < States(); ++c) {
      values[strip][recurrence_.carried[c].load] = lanes.Wrap(carried[strip * States() + c]);
    }
  }

  void StoreOne(LaneBuilder& lanes, const Bundle& bundle, const Values& values, const LaneStore& store) {
    for (size_t s = 0; s < bundle.strips.size(); ++s) {
      Store(lanes, bundle, bundle.strips[s], store.view, values[s][store.value].value);
    }
  }

  // One step; returns the next states.
  std::vector<Value*> Step(LaneBuilder& lanes, const Bundle& bundle, const Values& kept, std::vector<Value*> carried) {
    Values values = kept;
    for (size_t s = 0; s < values.size(); ++s) SetState(lanes, values, s, carried);
    ComputeAndStore(lanes, bundle, values);
    for (size_t s = 0; s < values.size(); ++s) {
      for (size_t c = 0; c < States(); ++c) carried[s * States() + c] = values[s][NextOf(c)].value;
    }
    return carried;
  }

  // Several steps of a linear recurrence. What a step would make of no state at all, and the factor of the state before
  // the first, are there before that state is; then each state, and what else waits for it.
  std::vector<Value*> StepsAtOnce(LaneBuilder& lanes, const Bundle& bundle, const Values& kept,
                                  const std::function<void(int)>& go_to, std::vector<Value*> carried) {
    std::vector<Values> free(bundle.steps, kept);
    std::vector<std::vector<Value*>> sums, products;  // per step; per strip, per state
    for (int step = 0; step < bundle.steps; ++step) {
      go_to(step);
      ComputeAll(lanes, bundle, free[step], [&](size_t i) { return !waits_[i]; });
      sums.push_back(step == 0 ? std::vector<Value*>(carried.size(), lanes.Constant(0).value) : sums.back());
      Values values = free[step];
      for (size_t s = 0; s < values.size(); ++s) SetState(lanes, values, s, sums.back());
      ComputeAll(lanes, bundle, values, [&](size_t i) { return static_cast<bool>(for_next_[i]); });
      std::vector<Value*> factors;
      for (size_t s = 0; s < values.size(); ++s) {
        for (size_t c = 0; c < States(); ++c) {
          sums.back()[s * States() + c] = values[s][NextOf(c)].value;
          Lane factor = values[s][recurrence_.look_ahead.factors[c]];
          if (step > 0) {
            Lane before = lanes.Wrap(products.back()[s * States() + c]);
            factor = lanes.Elementwise(ir::Op::kMul, {{factor, before}});
          }
          factors.push_back(factor.value);
        }
      }
      products.push_back(std::move(factors));
    }
    const std::vector<Value*> first = carried;
    for (int step = 0; step < bundle.steps; ++step) {
      go_to(step);
      Values values = std::move(free[step]);
      for (size_t s = 0; s < values.size(); ++s) {
        SetState(lanes, values, s, carried);
        for (size_t c = 0; c < States(); ++c) {
          const size_t at = s * States() + c;
          Lane next =
              lanes.FusedMultiplyAdd(lanes.Wrap(products[step][at]), lanes.Wrap(first[at]), lanes.Wrap(sums[step][at]));
          values[s][NextOf(c)] = next;
          carried[at] = next.value;
        }
      }
      ComputeAndStore(lanes, bundle, values);
    }
    return carried;
  }

  // All steps of a bundle.
  void EmitSteps(const Bundle& bundle) {
    LaneBuilder lanes(builder_, emitter_.emit_.Shape(WidthOf(bundle.valid * bundle.fold)));
    Value* begin = Word(0);
    Value* end = emitter_.frame_->SizeValue(SizeOf(recurrence_.time));
    if (recurrence_.chunk >= 0) {
      begin = emitter_.frame_->ChunkBegin(recurrence_.chunk);
      end = emitter_.frame_->ChunkEnd(recurrence_.chunk);
    }
    Value* last = builder_.CreateSub(end, Word(1));
    Value* steps = builder_.CreateSub(end, begin);
    BeginBundle(bundle);

    emitter_.time_ = recurrence_.reverse ? last : begin;
    Values kept(bundle.strips.size(), std::vector<Lane>(program_.size()));
    std::vector<Value*> carried;  // per strip, per state
    for (size_t s = 0; s < bundle.strips.size(); ++s) {
      for (const Recurrence::Carried& state : recurrence_.carried) {
        carried.push_back(Load(lanes, bundle, bundle.strips[s], kernel_.program[state.load].view));
      }
      for (int load : recurrence_.kept) {
        kept[s][load] = lanes.Wrap(Load(lanes, bundle, bundle.strips[s], kernel_.program[load].view));
      }
    }
    auto go_to = [&](Value* step) {
      emitter_.time_ = recurrence_.reverse ? builder_.CreateSub(last, step) : builder_.CreateAdd(begin, step);
    };
    // Groups of steps begin at multiples of their length in either direction, since chunks do: how steps are grouped
    // depends on nothing else.
    Value* groups = builder_.CreateUDiv(steps, Word(bundle.steps));
    Value* grouped = builder_.CreateMul(groups, Word(bundle.steps));
    Value* single = builder_.CreateSub(steps, grouped);
    auto in_groups = [&] {
      carried = EmitCarriedLoop(builder_, groups, carried, [&](Value* group, std::vector<Value*> states) {
        Value* first = builder_.CreateMul(group, Word(bundle.steps));
        if (recurrence_.reverse) first = builder_.CreateAdd(single, first);
        auto go_to_step = [&](int step) { go_to(builder_.CreateAdd(first, Word(step))); };
        return StepsAtOnce(lanes, bundle, kept, go_to_step, std::move(states));
      });
    };
    auto one_by_one = [&](Value* count, Value* done) {
      carried = EmitCarriedLoop(builder_, count, carried, [&](Value* i, std::vector<Value*> states) {
        go_to(builder_.CreateAdd(done, i));
        return Step(lanes, bundle, kept, std::move(states));
      });
    };
    if (bundle.steps == 1) {
      one_by_one(steps, Word(0));
    } else if (recurrence_.reverse) {
      one_by_one(single, Word(0));
      in_groups();
    } else {
      in_groups();
      one_by_one(single, grouped);
    }
    emitter_.time_ = recurrence_.reverse ? begin : last;
    for (size_t s = 0; s < bundle.strips.size(); ++s) {
      for (size_t c = 0; c < States(); ++c) {
        const auto store = static_cast<size_t>(recurrence_.carried[c].store);
        if (!IsOnlyCarried(store)) continue;
        Store(lanes, bundle, bundle.strips[s], kernel_.stores[store].view, carried[s * States() + c]);
      }
    }
    emitter_.time_ = nullptr;
  }

  KernelEmitter& emitter_;
  const Kernel& kernel_;
  const Recurrence& recurrence_;
  llvm::IRBuilder<>& builder_;
  std::vector<LaneInstruction> program_;  // the kernel's, then that of its factors
  std::vector<bool> waits_, for_next_;    // per instruction
  KernelEmitter::Indices outer_;
  std::map<const View*, Value*> starts_;
};

void KernelEmitter::EmitRecurrence() { RecurrenceEmitter(*this).Run(); }

}  // namespace recurve
