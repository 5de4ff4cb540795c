// compiler/emit_entry.cpp: entries: the frame and the statements.

#include "compiler/emit_entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "compiler/emit_pack.h"
#include "compiler/emit_sizes.h"
#include "compiler/emit_team.h"
#include "compiler/plan_tape.h"
#include "compiler/plan_team.h"
#include "runtime/abi.h"

namespace recurve {
namespace {

// The plan's rules for teams as code, for a team of `count` members.
struct TeamRules {
  llvm::IRBuilder<>& builder;
  const EmitTypes& types;
  Value* count;
  AxisFunction axis;

  Value* Cycles(const Amount& amount) {
    Value* sum = types.Word(0);
    for (const Size& term : amount.terms) sum = builder.CreateAdd(sum, EmitSize(builder, types, term, axis));
    return sum;
  }
  // What the others take off the first member. A number of cycles that overflows a word would take years.
  Value* Saved(const TeamRule& rule) {
    Value* cycles = Cycles(rule.shared_cycles);
    return builder.CreateSub(cycles, builder.CreateUDiv(cycles, count));
  }
  Value* Pays(const TeamRule& rule) { return builder.CreateICmpUGT(Saved(rule), Cycles(rule.overhead_cycles)); }
  Value* ByRows(const EntryTeam& team) {
    if (team.rows_each == 0) return builder.getFalse();
    return builder.CreateICmpUGE(axis("B"), builder.CreateMul(count, types.Word(team.rows_each)));
  }
};

// A function of a plan, declared in the module unless it is there.
llvm::Function* Declare(EmitModule& emit, const PlannedFunction& planned) {
  if (llvm::Function* known = emit.module.getFunction(planned.name)) return known;
  std::vector<llvm::Type*> parameters{emit.types.pointer};
  parameters.insert(parameters.end(), planned.loops.size(), emit.types.size);
  return emit.NewFunction(planned.name, std::move(parameters), true);
}

class EntryEmitter {
 public:
  EntryEmitter(EmitModule& emit, const EntryPlan& entry)
      : emit_(emit), entry_(entry), layout_(emit.plan, entry), builder_(emit.types.context) {}

  // The entry. What it calls is declared, and then in `functions`.
  void Run() {
    EmitWorkspaceBytes();
    if (!emit_.plan.choices.only_one) EmitUsefulMembers();
    std::string name = emit_.plan.name + "_" + entry_.name;
    llvm::FunctionType* type = llvm::FunctionType::get(builder_.getVoidTy(), {emit_.types.pointer}, false);
    llvm::Function* entry = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, name, emit_.module);
    entry->addFnAttr(llvm::Attribute::NoUnwind);
    if (emit_.plan.choices.only_one) return entry_.has_one_row_code ? EmitOneRow(entry) : EmitAnyRows(entry);
    llvm::Function* any_rows = emit_.NewFunction(name + "_any_rows", {emit_.types.pointer, emit_.types.pointer}, true);
    llvm::Function* one_row = nullptr;
    if (entry_.has_one_row_code) one_row = Call({.name = name + "_one_row"});
    Choose(entry, one_row, any_rows);
    EmitAnyRows(any_rows);
  }
  std::vector<PlannedFunction> functions() && { return std::move(functions_); }

  // One of the functions that an entry calls.
  void Emit(const PlannedFunction& planned) {
    llvm::Function* function = Declare(emit_, planned);
    if (planned.kernel < 0) return EmitOneRow(function);
    std::map<int, Value*> known;
    if (planned.one_row)
      known = {{layout_.Axis("B"), Word(1)}, {layout_.BatchBegin(), Word(0)}, {layout_.BatchEnd(), Word(1)}};
    KernelEmitter(emit_, layout_, entry_.kernels[planned.kernel], planned.loops, function, known).Emit();
  }

  // All kernels in one function, for a batch of one and without a team: the frame is not in memory but known.
  void EmitOneRow(llvm::Function* function) {
    function_ = function;
    is_one_row_ = true;
    llvm::BasicBlock* first = llvm::BasicBlock::Create(emit_.types.context, "entry", function_);
    llvm::BasicBlock* body = llvm::BasicBlock::Create(emit_.types.context, "body", function_);
    builder_.SetInsertPoint(first);
    FillFrame();
    builder_.CreateBr(body);
    builder_.SetInsertPoint(body);
    if (entry_.turn_buffer >= 0) {
      // The caller's memory may hold anything at first: either order will do.
      Value* place = words_.at(layout_.Buffer(entry_.turn_buffer));
      Value* turn = builder_.CreateLoad(emit_.types.index, place);
      builder_.CreateStore(builder_.CreateAdd(turn, builder_.getInt32(1)), place);
      turn_ = turn;
    }
    EmitStatements(entry_.statements);
    builder_.CreateRetVoid();
  }

  // What one member of a team does, its second argument; one thread, if that is null.
  void EmitAnyRows(llvm::Function* function) {
    function_ = function;
    TranslateQuickly(emit_.types, *function_);
    builder_.SetInsertPoint(llvm::BasicBlock::Create(emit_.types.context, "entry", function_));
    frame_ = builder_.CreateAlloca(emit_.types.pointer, emit_.types.Word(layout_.Words()), "frame");
    FillFrame();
    EmitStatements(entry_.statements);
    if (entry_.packs_panels) EmitPanels();
    // Stores around the caches keep no order by themselves, not even before one that releases a lock.
    if (HasFarStores(entry_)) builder_.CreateFence(llvm::AtomicOrdering::SequentiallyConsistent);
    builder_.CreateRetVoid();
  }

  // entry: without a team, or one that is of use, in this thread, where `one_row`, if there is one, is for a batch of
  // one; else in all of the team's.
  void Choose(llvm::Function* entry, llvm::Function* one_row, llvm::Function* any_rows) {
    function_ = entry;
    builder_.SetInsertPoint(llvm::BasicBlock::Create(emit_.types.context, "entry", entry));
    Value* nobody = llvm::ConstantPointerNull::get(emit_.types.pointer);
    Value* slots = entry->getArg(0);
    Value* team = LoadSlot(SlotOfKind(RECURVE_SLOT_TEAM), emit_.types.pointer);
    llvm::BasicBlock* alone = llvm::BasicBlock::Create(emit_.types.context, "alone", entry);
    llvm::BasicBlock* given = llvm::BasicBlock::Create(emit_.types.context, "given", entry);
    builder_.CreateCondBr(builder_.CreateICmpEQ(team, nobody), alone, given);
    auto call = [&](llvm::Function* callee, std::vector<Value*> arguments) {
      builder_.CreateCall(callee, arguments)->setTailCall();
      builder_.CreateRetVoid();
    };
    builder_.SetInsertPoint(alone);
    if (one_row != nullptr) {
      Value* batch = LoadSlot(layout_.Axis("B"), emit_.types.size);
      llvm::BasicBlock* one = llvm::BasicBlock::Create(emit_.types.context, "one_row", entry);
      llvm::BasicBlock* any = llvm::BasicBlock::Create(emit_.types.context, "any_rows", entry);
      builder_.CreateCondBr(builder_.CreateICmpEQ(batch, Word(1)), one, any);
      builder_.SetInsertPoint(one);
      call(one_row, {slots});
      builder_.SetInsertPoint(any);
    }
    call(any_rows, {slots, nobody});

    builder_.SetInsertPoint(given);
    llvm::Function* share = emit_.NewFunction(entry->getName().str() + "_shared", {emit_.types.pointer}, true);
    TranslateQuickly(emit_.types, *share);
    call(share, {slots});
    function_ = share;
    builder_.SetInsertPoint(llvm::BasicBlock::Create(emit_.types.context, "entry", share));
    team = LoadSlot(SlotOfKind(RECURVE_SLOT_TEAM), emit_.types.pointer);
    Value* count = LoadTeamCount(builder_, emit_.types, team);
    Value* is_useful =
        builder_.CreateICmpEQ(builder_.CreateCall(useful_members_, {share->getArg(0), count}), count, "is_useful");
    EmitIf(builder_, is_useful, [&] { EmitShared(builder_, emit_, team, any_rows); });
    EmitIf(builder_, builder_.CreateNot(is_useful), [&] { builder_.CreateCall(any_rows, {share->getArg(0), nobody}); });
    builder_.CreateRetVoid();
  }

  // word useful_members(const word* extents, word count): `count` where the entry keeps so many threads busy, or 1
  // where meeting costs more than sharing saves: the rule of the entry, to which every loop that is not run alone adds
  // its steps.
  void EmitUsefulMembers() {
    const EmitTypes& types = emit_.types;
    std::string name = emit_.plan.name + "_" + entry_.name + "_useful_members";
    llvm::FunctionType* type = llvm::FunctionType::get(types.size, {types.pointer, types.size}, false);
    useful_members_ = llvm::Function::Create(type, llvm::GlobalValue::InternalLinkage, name, emit_.module);
    useful_members_->addFnAttr(llvm::Attribute::NoUnwind);
    TranslateQuickly(emit_.types, *useful_members_);
    llvm::IRBuilder<> builder(llvm::BasicBlock::Create(types.context, "entry", useful_members_));
    auto axis = [&](const std::string& wanted) -> Value* {
      auto index = std::ranges::find(emit_.plan.axes, wanted) - emit_.plan.axes.begin();
      Value* place = builder.CreateConstInBoundsGEP1_64(types.size, useful_members_->getArg(0), index);
      return builder.CreateLoad(types.size, place);
    };
    TeamRules rules{builder, types, useful_members_->getArg(1), axis};
    const EntryTeam& team = entry_.team;
    Value* gain = rules.Saved(team.units);
    for (const TimeLoop* loop : OutermostLoops(entry_.statements)) {
      if (loop->steps != TimeLoop::Steps::kAll) continue;
      const TeamRule& step = loop->team->units;
      Value* of_step = builder.CreateSub(rules.Saved(step), rules.Cycles(step.overhead_cycles));
      Value* of_loop = builder.CreateMul(of_step, EmitSize(builder, types, SizeOf(loop->time), axis));
      gain = builder.CreateAdd(gain, builder.CreateSelect(rules.Pays(step), of_loop, types.Word(0)));
    }
    Value* pays = builder.CreateICmpUGT(gain, rules.Cycles(team.units.overhead_cycles));
    pays = builder.CreateSelect(rules.ByRows(team), rules.Pays(team.rows), pays);
    builder.CreateRet(builder.CreateSelect(pays, useful_members_->getArg(1), types.Word(1)));
  }

 private:
  llvm::ConstantInt* Word(int64_t value) const { return emit_.types.Word(value); }
  bool HasBatch() const { return std::ranges::find(emit_.plan.axes, "B") != emit_.plan.axes.end(); }

  Value* LoadSlot(int slot, llvm::Type* type) {
    return builder_.CreateLoad(type,
                               builder_.CreateConstInBoundsGEP1_64(emit_.types.pointer, function_->getArg(0), slot));
  }
  int SlotOfKind(recurve_slot_kind kind) const {
    for (size_t i = 0; i < entry_.slots.size(); ++i) {
      if (entry_.slots[i].kind == kind) return static_cast<int>(i);
    }
    return -1;
  }
  void SetFrame(int place, Value* value) {
    if (is_one_row_) {
      words_[place] = value;
      return;
    }
    builder_.CreateStore(value, builder_.CreateConstInBoundsGEP1_64(emit_.types.pointer, frame_, place));
  }

  void FillFrame() {
    std::map<std::string, Value*> axes;
    for (size_t i = 0; i < emit_.plan.axes.size(); ++i) {
      const bool is_one = (is_one_row_ || emit_.plan.choices.only_one) && emit_.plan.axes[i] == "B";
      axes[emit_.plan.axes[i]] = is_one ? Word(1) : LoadSlot(static_cast<int>(i), emit_.types.size);
      SetFrame(static_cast<int>(i), axes[emit_.plan.axes[i]]);
    }
    const auto known = [&](const std::string& axis) { return axes.at(axis); };
    for (const Chunks& chunks : entry_.chunks) {
      axes[chunks.axis] = EmitChunkSteps(builder_, emit_.types, chunks, known);
      chunk_steps_.push_back(axes[chunks.axis]);
      if (chunks.count.empty()) continue;
      axes[chunks.count] =
          EmitChunkCount(builder_, emit_.types, known(AxisCutBy(chunks, entry_.chunks)), axes[chunks.axis]);
    }
    auto size = [&](const Size& elements) { return EmitSize(builder_, emit_.types, elements, known); };
    FillTeam();
    Value* packed = emit_.plan.packed_constant >= 0 ? emit_.constants[emit_.plan.packed_constant]
                                                    : LoadSlot(SlotOfKind(RECURVE_SLOT_PACKED), emit_.types.pointer);
    SetFrame(layout_.Packed(), packed);
    Value* workspace = LoadSlot(SlotOfKind(RECURVE_SLOT_WORKSPACE), emit_.types.pointer);
    llvm::Type* byte = builder_.getInt8Ty();
    int tape_slot = SlotOfKind(RECURVE_SLOT_TAPE);
    std::vector<Value*> tape;
    if (tape_slot >= 0) {
      Value* base = LoadSlot(tape_slot, emit_.types.pointer);
      Regions regions(builder_, emit_.types, known);
      for (const Buffer& region : emit_.plan.tape) {
        tape.push_back(builder_.CreateGEP(byte, base, regions.Add(region, emit_.plan.BytesOf(region))));
      }
      if (HasFarStores(entry_)) {
        Value* is_far = builder_.CreateICmpUGT(regions.Bytes(), Word(FarTapeBytes(emit_.plan)));
        SetFrame(layout_.TapeIsFar(), builder_.CreateZExt(is_far, emit_.types.size));
      }
    }
    Regions regions(builder_, emit_.types, known);
    for (size_t i = 0; i < entry_.buffers.size(); ++i) {
      const Buffer& buffer = entry_.buffers[i];
      Value* address = nullptr;
      if (buffer.needs_workspace())
        address = builder_.CreateGEP(byte, workspace, regions.Add(buffer, emit_.plan.BytesOf(buffer)));
      if (buffer.place == Place::kPacked) {
        address = builder_.CreateGEP(byte, packed, Word(buffer.packed_offset_bytes));
      } else if (buffer.place == Place::kTape) {
        address = tape[buffer.tape_region];
      } else if (buffer.place == Place::kConstant) {
        address = emit_.constants[buffer.constant];
      } else if (buffer.place == Place::kSlot) {
        Value* given = LoadSlot(buffer.slot, emit_.types.pointer);
        if (buffer.needs_workspace()) {
          Value* missing = builder_.CreateICmpEQ(given, llvm::ConstantPointerNull::get(emit_.types.pointer));
          if (buffer.zero_if_null) EmitZeros(missing, address, size(buffer.size));
          given = builder_.CreateSelect(missing, address, given);
        }
        address = given;
      }
      SetFrame(layout_.Buffer(static_cast<int>(i)), address);
    }
    // Zeros are there before any thread reads them.
    bool zeroes = std::ranges::any_of(entry_.buffers, &Buffer::zero_if_null);
    if (zeroes) EmitBarrier(builder_, emit_, FrameWord(layout_.Team(), emit_.types.pointer));
  }

  // Threads share the elements.
  void EmitZeros(Value* condition, Value* address, Value* elements) {
    EmitIf(builder_, condition, [&] {
      auto [begin, end] = ShareOf(elements);
      EmitLoop(builder_, begin, end, Word(1), [&](Value* i) {
        builder_.CreateStore(llvm::Constant::getNullValue(emit_.types.real),
                             builder_.CreateGEP(emit_.types.real, address, i));
      });
    });
  }

  // This thread's part of [0, count).
  std::pair<Value*, Value*> ShareOf(Value* count) {
    Value* index = FrameWord(layout_.ThreadIndex(), emit_.types.size);
    Value* threads = FrameWord(layout_.ThreadCount(), emit_.types.size);
    Value* next = builder_.CreateAdd(index, Word(1));
    return {builder_.CreateUDiv(builder_.CreateMul(count, index), threads),
            builder_.CreateUDiv(builder_.CreateMul(count, next), threads)};
  }

  void FillTeam() {
    Value* batch = HasBatch() ? FrameWord(layout_.Axis("B"), emit_.types.size) : Word(1);
    SetFrame(layout_.BatchBegin(), Word(0));
    SetFrame(layout_.BatchEnd(), batch);
    WorkAlone();
    if (is_one_row_ || emit_.plan.choices.only_one) return;
    Value* member = function_->getArg(1);
    EmitIf(builder_, builder_.CreateICmpNE(member, llvm::ConstantPointerNull::get(emit_.types.pointer)), [&] {
      Value* count = LoadMember(builder_, emit_.types, member, MemberField::kCount);
      SetFrame(layout_.Team(), member);
      SetFrame(layout_.ThreadIndex(), LoadMember(builder_, emit_.types, member, MemberField::kIndex));
      SetFrame(layout_.ThreadCount(), count);
      if (entry_.team.rows_each == 0) return;
      TeamRules rules{builder_, emit_.types, count, [&](const std::string&) { return batch; }};
      EmitIf(builder_, rules.ByRows(entry_.team), [&] {
        auto [begin, end] = ShareOf(batch);
        SetFrame(layout_.BatchBegin(), begin);
        SetFrame(layout_.BatchEnd(), end);
      });
    });
  }

  // From here on this thread shares nothing and meets nobody.
  void WorkAlone() {
    SetFrame(layout_.Team(), llvm::ConstantPointerNull::get(emit_.types.pointer));
    SetFrame(layout_.ThreadIndex(), Word(0));
    SetFrame(layout_.ThreadCount(), Word(1));
  }

  void ReturnIf(Value* condition) {
    llvm::BasicBlock* leave = llvm::BasicBlock::Create(emit_.types.context, "leave", function_);
    llvm::BasicBlock* stay = llvm::BasicBlock::Create(emit_.types.context, "stay", function_);
    builder_.CreateCondBr(condition, leave, stay);
    builder_.SetInsertPoint(leave);
    builder_.CreateRetVoid();
    builder_.SetInsertPoint(stay);
  }

  void EmitStatements(const std::vector<Statement>& statements) {
    for (const Statement& statement : statements) {
      if (const auto* call = std::get_if<KernelCall>(&statement.kind)) {
        EmitCall(call->kernel);
      } else if (const auto* loop = std::get_if<TimeLoop>(&statement.kind)) {
        if (loop->team && !emit_.plan.choices.only_one) {
          EmitSharedLoop(*loop);
        } else {
          EmitTimeLoop(*loop);
        }
      } else if (const auto* rows = std::get_if<RowLoop>(&statement.kind)) {
        EmitRowLoop(*rows);
      } else if (const auto* chunks = std::get_if<ChunkLoop>(&statement.kind)) {
        EmitChunkLoop(*chunks);
      } else {
        EmitBarrier(builder_, emit_, FrameWord(layout_.Team(), emit_.types.pointer));
      }
    }
  }

  Value* FrameWord(int place, llvm::Type* type) {
    if (is_one_row_) return words_.at(place);
    return builder_.CreateLoad(type, builder_.CreateConstInBoundsGEP1_64(emit_.types.pointer, frame_, place));
  }

  void EmitCall(int number) {
    const Kernel& kernel = entry_.kernels[number];
    if (is_one_row_) return KernelEmitter(emit_, layout_, kernel, builder_, words_, turn_, &stored_).EmitInto(builder_);
    std::vector<int> loops;
    std::vector<Value*> arguments{frame_};
    for (const auto& [loop, index] : loops_) {
      loops.push_back(loop);
      arguments.push_back(index);
    }
    auto call = [&](bool one_row) {
      std::string name = fmt::format("{}_{}_{}{}", emit_.plan.name, entry_.name, number, one_row ? "_one_row" : "");
      PlannedFunction planned{.name = std::move(name), .kernel = number, .loops = loops, .one_row = one_row};
      builder_.CreateCall(Call(std::move(planned)), arguments);
    };
    if (emit_.plan.choices.only_one && HasBatch()) return call(true);
    if (!kernel.has_one_row_form) return call(false);
    Value* is_one_row = builder_.CreateICmpEQ(FrameWord(layout_.Axis("B"), emit_.types.size), Word(1));
    EmitChoice(builder_, is_one_row, [&] { call(true); }, [&] { call(false); });
  }

  llvm::Function* Call(PlannedFunction planned) {
    planned.entry = static_cast<int>(&entry_ - emit_.plan.entries.data());
    const auto is_same = [&](const PlannedFunction& other) {
      return other.kernel == planned.kernel && other.one_row == planned.one_row && other.loops == planned.loops;
    };
    auto known = std::ranges::find_if(functions_, is_same);
    if (known == functions_.end()) {
      if (emit_.module.getFunction(planned.name)) planned.name += fmt::format("_{}", functions_.size());
      known = functions_.insert(functions_.end(), std::move(planned));
    }
    return Declare(emit_, *known);
  }

  // By rows or alone are the same code as one thread's: the frame says which rows of the batch, and that there is no
  // team.
  void EmitSharedLoop(const TimeLoop& loop) {
    auto axis = [&](const std::string& name) { return FrameWord(layout_.Axis(name), emit_.types.size); };
    Value* count = FrameWord(layout_.ThreadCount(), emit_.types.size);
    Value* index = FrameWord(layout_.ThreadIndex(), emit_.types.size);
    Value* team = FrameWord(layout_.Team(), emit_.types.pointer);
    TeamRules rules{builder_, emit_.types, count, axis};
    // A team of one keeps its barriers, at which somebody may look at the clock.
    Value* several = builder_.CreateICmpUGT(count, Word(1));
    Value* by_rows = rules.ByRows(entry_.team);
    Value* units = builder_.CreateAnd(builder_.CreateNot(by_rows), rules.Pays(loop.team->units));
    Value* apart = builder_.CreateAnd(several, builder_.CreateNot(units));
    Value* alone = builder_.CreateAnd(apart, builder_.CreateNot(by_rows));
    Value* others = builder_.CreateAnd(alone, builder_.CreateICmpNE(index, Word(0)));
    Value* leaves = builder_.CreateAnd(alone, builder_.CreateNot(rules.Pays(loop.team->rest)));
    ReturnIf(builder_.CreateAnd(leaves, others));
    EmitIf(builder_, apart, [&] { WorkAlone(); });
    EmitIf(builder_, builder_.CreateNot(others), [&] { EmitTimeLoop(loop); });
    // What follows relies on the barrier that ends a step.
    EmitIf(builder_, builder_.CreateAnd(apart, builder_.CreateNot(leaves)), [&] {
      SetFrame(layout_.Team(), team);
      SetFrame(layout_.ThreadIndex(), index);
      SetFrame(layout_.ThreadCount(), count);
      EmitBarrier(builder_, emit_, team);
    });
  }

  void EmitTimeLoop(const TimeLoop& loop) {
    if (loop.recurrence < 0) return EmitSteps(loop);
    Size all_rows;
    for (const Size& axis : entry_.kernels[loop.recurrence].rows) all_rows = all_rows * axis;
    Value* rows = EmitSize(builder_, emit_.types, all_rows,
                           [&](const std::string& axis) { return FrameWord(layout_.Axis(axis), emit_.types.size); });
    Value* few = builder_.CreateICmpULE(rows, Word(loop.most_rows));
    EmitIf(builder_, few, [&] {
      EmitCall(loop.recurrence);
      EmitBarrier(builder_, emit_, FrameWord(layout_.Team(), emit_.types.pointer));
    });
    EmitIf(builder_, builder_.CreateNot(few), [&] { EmitSteps(loop); });
  }

  void EmitSteps(const TimeLoop& loop) {
    Value* steps = loop.time.is_constant() ? static_cast<Value*>(Word(loop.time.extent))
                                           : FrameWord(layout_.Axis(loop.time.axis), emit_.types.size);
    auto body = [&](Value* time) {
      loops_.emplace_back(loop.loop, time);
      EmitStatements(loop.body);
      loops_.pop_back();
    };
    Value* begin = Word(0);
    if (loop.chunk >= 0) {
      begin = FrameWord(layout_.ChunkBegin(loop.chunk), emit_.types.size);
      steps = FrameWord(layout_.ChunkEnd(loop.chunk), emit_.types.size);
    }
    if (loop.steps != TimeLoop::Steps::kAll) {
      const bool is_latest = loop.reverse == (loop.steps == TimeLoop::Steps::kFirst);
      body(is_latest ? builder_.CreateSub(steps, Word(1)) : begin);
    } else if (loop.reverse) {
      EmitReverseLoop(builder_, begin, steps, body);
    } else {
      EmitLoop(builder_, begin, steps, Word(1), body);
    }
  }

  void EmitRowLoop(const RowLoop& loop) {
    auto size = [&](const Size& elements) {
      return EmitSize(builder_, emit_.types, elements,
                      [&](const std::string& axis) { return FrameWord(layout_.Axis(axis), emit_.types.size); });
    };
    Value* index = FrameWord(layout_.ThreadIndex(), emit_.types.size);
    Value* threads = FrameWord(layout_.ThreadCount(), emit_.types.size);
    Value* begin = Word(0);
    Value* count = nullptr;
    if (entry_.team.rows_each > 0 && loop.rows.axes == std::vector<std::string>{"B"}) {
      // The thread's own rows of the batch, if it has such, are nobody else's.
      Value* factor = Word(loop.rows.factor);
      begin = FrameWord(layout_.BatchBegin(), emit_.types.size);
      Value* own = builder_.CreateSub(FrameWord(layout_.BatchEnd(), emit_.types.size), begin);
      Value* whole = builder_.CreateICmpEQ(own, FrameWord(layout_.Axis("B"), emit_.types.size));
      index = builder_.CreateSelect(whole, index, Word(0));
      threads = builder_.CreateSelect(whole, threads, Word(1));
      begin = builder_.CreateMul(begin, factor);
      count = builder_.CreateMul(own, factor);
    } else if (loop.chunk < 0) {
      count = size(loop.rows);
    } else {
      Value* step = size(loop.step_rows);
      begin = FrameWord(layout_.ChunkBegin(loop.chunk), emit_.types.size);
      Value* steps = builder_.CreateSub(FrameWord(layout_.ChunkEnd(loop.chunk), emit_.types.size), begin);
      begin = builder_.CreateMul(begin, step);
      count = builder_.CreateMul(steps, step);
    }
    auto part = [&](Value* i) {
      return builder_.CreateAdd(begin, builder_.CreateUDiv(builder_.CreateMul(count, i), threads));
    };
    Value* last = part(builder_.CreateAdd(index, Word(1)));
    EmitLoop(builder_, part(index), last, Word(loop.block_rows), [&](Value* row) {
      Value* end = builder_.CreateAdd(row, Word(loop.block_rows));
      SetFrame(layout_.RowBegin(), row);
      SetFrame(layout_.RowEnd(), builder_.CreateSelect(builder_.CreateICmpSLT(end, last), end, last));
      for (int kernel : loop.kernels) EmitCall(kernel);
    });
  }

  // Chunks in the order of the scan. They begin at multiples of their length whatever the direction, so that sums are
  // grouped alike however many steps of padding stand at the end. A buffer that holds one chunk is addressed as if it
  // held them all: its address in the frame moves against the steps. One with a value for each chunk moves with them,
  // from where the chunk around them begins.
  void EmitChunkLoop(const ChunkLoop& loop) {
    const Chunks& chunks = entry_.chunks[loop.chunk];
    const auto axis = [&](const std::string& name) { return FrameWord(layout_.Axis(name), emit_.types.size); };
    Value* first = Word(0);
    Value* end = axis(chunks.time);
    if (chunks.outer >= 0) {
      first = FrameWord(layout_.ChunkBegin(chunks.outer), emit_.types.size);
      end = FrameWord(layout_.ChunkEnd(chunks.outer), emit_.types.size);
    }
    Value* longest = chunk_steps_[loop.chunk];
    std::map<int, Value*> bases;
    for (const std::vector<int>* buffers : {&chunks.rings, &chunks.checkpoints}) {
      for (int buffer : *buffers) bases[buffer] = FrameWord(layout_.Buffer(buffer), emit_.types.pointer);
    }
    auto move = [&](int buffer, const std::string& axis_of_chunks, Value* by) {
      Size one = entry_.buffers[buffer].size;
      std::erase(one.axes, axis_of_chunks);
      Value* offset = builder_.CreateMul(by, EmitSize(builder_, emit_.types, one, axis));
      SetFrame(layout_.Buffer(buffer), builder_.CreateGEP(emit_.types.real, bases.at(buffer), offset));
    };
    Value* steps = builder_.CreateSub(end, first);
    Value* last = builder_.CreateMul(builder_.CreateUDiv(builder_.CreateSub(steps, Word(1)), longest), longest);
    const bool reverse = chunks.reverse != loop.against;
    EmitLoop(builder_, Word(0), loop.only_first ? Word(1) : steps, longest, [&](Value* done) {
      Value* begin = builder_.CreateAdd(first, reverse ? builder_.CreateSub(last, done) : done);
      Value* left = builder_.CreateSub(end, begin);
      Value* length = builder_.CreateSelect(builder_.CreateICmpULT(longest, left), longest, left);
      SetFrame(layout_.ChunkBegin(loop.chunk), begin);
      SetFrame(layout_.ChunkEnd(loop.chunk), builder_.CreateAdd(begin, length));
      for (int ring : chunks.rings) move(ring, chunks.axis, builder_.CreateNeg(begin));
      Value* number = builder_.CreateUDiv(builder_.CreateSub(begin, first), longest);
      for (int kept : chunks.checkpoints) move(kept, chunks.count, number);
      EmitStatements(loop.body);
    });
    // The loop may be entered again.
    if (chunks.outer < 0) return;
    for (const auto& [buffer, base] : bases) SetFrame(layout_.Buffer(buffer), base);
  }

  // Rearranges weights into panels, column by column; threads share the blocks.
  void EmitPanels() {
    Value* packed = FrameWord(layout_.Packed(), emit_.types.pointer);
    if (!entry_.statements.empty()) {
      EmitBarrier(builder_, emit_, FrameWord(layout_.Team(), emit_.types.pointer));
    }
    for (const Panels& panels : emit_.plan.panels) {
      auto [begin, end] = ShareOf(Word(panels.blocks()));
      auto buffer = [&](int number) { return FrameWord(layout_.Buffer(number), emit_.types.pointer); };
      EmitPacking(emit_, builder_, panels, packed, buffer, begin, end);
    }
  }

  void EmitWorkspaceBytes() {
    EmitBytes(emit_, emit_.plan.name + "_" + entry_.name + "_workspace_bytes", entry_.chunks, [&](Regions& regions) {
      for (const Buffer& buffer : entry_.buffers) {
        if (buffer.needs_workspace()) regions.Add(buffer, emit_.plan.BytesOf(buffer));
      }
    });
  }

  EmitModule& emit_;
  const EntryPlan& entry_;
  FrameLayout layout_;
  llvm::IRBuilder<> builder_;
  llvm::Function* function_ = nullptr;
  llvm::Function* useful_members_ = nullptr;
  Value* frame_ = nullptr;
  Value* turn_ = nullptr;    // of one row: counts the calls, if somebody wants to know
  StoredVectors stored_;     // of one row
  bool is_one_row_ = false;  // of the function that is being written: the frame's words are `words_`
  std::map<int, Value*> words_;
  std::vector<Value*> chunk_steps_;  // per chunk loop
  std::vector<std::pair<int, Value*>> loops_;
  std::vector<PlannedFunction> functions_;  // that the entry calls
};

}  // namespace

std::vector<PlannedFunction> EmitEntry(EmitModule& emit, const EntryPlan& entry) {
  EntryEmitter emitter(emit, entry);
  emitter.Run();
  return std::move(emitter).functions();
}

void EmitPlanned(EmitModule& emit, const PlannedFunction& planned) {
  EntryEmitter(emit, emit.plan.entries[planned.entry]).Emit(planned);
}

}  // namespace recurve
