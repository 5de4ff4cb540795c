// compiler/emit_team.cpp: bodies of a parallel loop, who takes part, and where members meet.

#include "compiler/emit_team.h"

#include <cstddef>

#include "runtime/abi.h"

namespace recurve {
namespace {

// A call that members share, on the stack of who began it: its slots, its team, what each member does, and three
// counters, each on a line of its own. `kDoors` counts who has come, and has its highest bit set once nobody may come
// any more; `kMet` counts who has reached a barrier, and `kRound` the barriers that all have reached.
enum class CallField : unsigned { kSlots, kTeam, kWork };
enum class Counter : unsigned { kDoors = 1, kMet, kRound };
constexpr int kLineBytes = 64, kCallBytes = 4 * kLineBytes;
constexpr uint32_t kClosed = uint32_t{1} << 31;

// How often a member looks whether all others have come: some 50 to 100 microseconds, in which a sleeping thread wakes.
constexpr uint32_t kPatience = 100'000;

constexpr auto kAcquire = llvm::AtomicOrdering::Acquire;
constexpr auto kRelease = llvm::AtomicOrdering::Release;
constexpr auto kBoth = llvm::AtomicOrdering::AcquireRelease;
constexpr auto kRelaxed = llvm::AtomicOrdering::Monotonic;

// The places of struct recurve_team, whose members are all as wide as a word.
enum class TeamField : unsigned { kCount, kParallelFor, kBarrier };
static_assert(offsetof(recurve_team, count) == 0 && offsetof(recurve_team, parallel_for) == sizeof(void*) &&
              offsetof(recurve_team, barrier) == 2 * sizeof(void*));

// Writes one function of a module.
class TeamWriter {
 public:
  TeamWriter(EmitModule& emit, llvm::Type* result, std::vector<llvm::Type*> parameters, const std::string& name)
      : types_(emit.types),
        function_(llvm::Function::Create(llvm::FunctionType::get(result, parameters, false),
                                         llvm::GlobalValue::InternalLinkage, emit.plan.name + "_" + name, emit.module)),
        builder_(types_.context) {
    function_->addFnAttr(llvm::Attribute::NoUnwind);
    function_->addFnAttr(llvm::Attribute::NoInline);
    Enter(Block("entry"));
  }

  // i32 join(call): this thread's index, or -1 if the call is closed.
  llvm::Function* Join() {
    Value* doors = Address(function_->getArg(0), Counter::kDoors);
    llvm::BasicBlock* knock = Block("knock");
    llvm::BasicBlock* enter = Block("enter");
    llvm::BasicBlock* late = Block("late");
    llvm::BasicBlock* look = Block("look");
    llvm::BasicBlock* close = Block("close");
    llvm::BasicBlock* wait = Block("wait");
    llvm::BasicBlock* in = Block("in");
    Value* wanted = builder_.CreateTrunc(LoadTeamCount(builder_, types_, Load(function_->getArg(0), CallField::kTeam)),
                                         builder_.getInt32Ty());
    builder_.CreateBr(knock);

    Enter(knock);
    Value* before = LoadCounter(doors, kAcquire);
    builder_.CreateCondBr(IsClosed(before), late, enter);
    Enter(enter);
    builder_.CreateCondBr(Exchange(doors, before, builder_.CreateAdd(before, builder_.getInt32(1))), look, knock);
    Enter(late);
    builder_.CreateRet(builder_.getInt32(-1));

    // Whoever is the last, or tired of waiting, closes.
    Enter(look);
    llvm::PHINode* looks = builder_.CreatePHI(builder_.getInt32Ty(), 3);
    looks->addIncoming(builder_.getInt32(0), enter);
    Value* more = builder_.CreateAdd(looks, builder_.getInt32(1));
    looks->addIncoming(more, close);
    looks->addIncoming(more, wait);
    Value* now = LoadCounter(doors, kAcquire);
    llvm::BasicBlock* open = Block("open");
    builder_.CreateCondBr(IsClosed(now), in, open);
    Enter(open);
    Value* is_full = builder_.CreateICmpEQ(now, wanted);
    Value* is_tired = builder_.CreateICmpUGE(looks, builder_.getInt32(kPatience));
    builder_.CreateCondBr(builder_.CreateOr(is_full, is_tired), close, wait);
    Enter(close);
    Exchange(doors, now, builder_.CreateOr(now, builder_.getInt32(kClosed)));
    builder_.CreateBr(look);
    Enter(wait);
    builder_.CreateBr(look);
    Enter(in);
    builder_.CreateRet(before);
    return function_;
  }

  // void body(call, index): one member's share of the call.
  llvm::Function* Body(llvm::Function* join) {
    Value* call = function_->getArg(0);
    Value* member = builder_.CreateAlloca(types_.pointer, types_.Word(3), "member");
    Value* team = Load(call, CallField::kTeam);
    llvm::BasicBlock* own = Block("own_barrier");
    llvm::BasicBlock* none = Block("no_barrier");
    llvm::BasicBlock* late = Block("late");
    llvm::BasicBlock* inside = Block("inside");
    llvm::BasicBlock* begin = Block("begin");
    builder_.CreateCondBr(IsNull(LoadTeam(team, TeamField::kBarrier)), none, own);

    // All of them run, or the team would have no barrier.
    Enter(own);
    Value* count = LoadTeamCount(builder_, types_, team);
    builder_.CreateBr(begin);
    Enter(none);
    Value* joined = builder_.CreateCall(join, {call});
    builder_.CreateCondBr(builder_.CreateICmpSLT(joined, builder_.getInt32(0)), late, inside);
    Enter(late);
    builder_.CreateRetVoid();
    Enter(inside);
    Value* doors = LoadCounter(Address(call, Counter::kDoors), kRelaxed);
    Value* came = builder_.CreateZExtOrTrunc(builder_.CreateAnd(doors, builder_.getInt32(~kClosed)), types_.size);
    Value* own_index = builder_.CreateZExtOrTrunc(joined, types_.size);
    builder_.CreateBr(begin);

    Enter(begin);
    auto either = [&](Value* with_barrier, Value* without) {
      llvm::PHINode* phi = builder_.CreatePHI(types_.size, 2);
      phi->addIncoming(with_barrier, own);
      phi->addIncoming(without, inside);
      return phi;
    };
    Value* index = either(function_->getArg(1), own_index);
    Value* members = either(count, came);
    auto set = [&](MemberField field, Value* value) {
      builder_.CreateStore(value,
                           builder_.CreateConstInBoundsGEP1_64(types_.pointer, member, static_cast<unsigned>(field)));
    };
    set(MemberField::kIndex, index);
    set(MemberField::kCount, members);
    set(MemberField::kCall, call);
    auto* type = llvm::FunctionType::get(builder_.getVoidTy(), {types_.pointer, types_.pointer}, false);
    builder_.CreateCall(type, Load(call, CallField::kWork), {Load(call, CallField::kSlots), member});
    builder_.CreateRetVoid();
    return function_;
  }

  // void meet(member)
  llvm::Function* Meet() {
    Value* member = function_->getArg(0);
    Value* call = LoadMember(builder_, types_, member, MemberField::kCall);
    Value* index = LoadMember(builder_, types_, member, MemberField::kIndex);
    Value* team = Load(call, CallField::kTeam);
    Value* barrier = LoadTeam(team, TeamField::kBarrier);
    llvm::BasicBlock* own = Block("own_barrier");
    llvm::BasicBlock* count = Block("count");
    llvm::BasicBlock* last = Block("last");
    llvm::BasicBlock* wait = Block("wait");
    llvm::BasicBlock* done = Block("done");
    builder_.CreateCondBr(IsNull(barrier), count, own);
    Enter(own);
    auto* type = llvm::FunctionType::get(builder_.getVoidTy(), {types_.pointer, types_.size}, false);
    builder_.CreateCall(type, barrier, {team, index});
    builder_.CreateBr(done);

    // The last to come opens the next round, for which nobody has come yet.
    Enter(count);
    Value* met = Address(call, Counter::kMet);
    Value* round = Address(call, Counter::kRound);
    Value* seen = LoadCounter(round, kRelaxed);
    Value* earlier = Add(met, 1);
    Value* others = builder_.CreateSub(LoadMember(builder_, types_, member, MemberField::kCount), types_.Word(1));
    Value* is_last = builder_.CreateICmpEQ(builder_.CreateZExtOrTrunc(earlier, types_.size), others);
    builder_.CreateCondBr(is_last, last, wait);
    Enter(last);
    Store(met, builder_.getInt32(0), kRelaxed);
    Store(round, builder_.CreateAdd(seen, builder_.getInt32(1)), kRelease);
    builder_.CreateBr(done);
    Enter(wait);
    Value* is_next = builder_.CreateICmpNE(LoadCounter(round, kAcquire), seen);
    builder_.CreateCondBr(is_next, done, wait);
    Enter(done);
    builder_.CreateRetVoid();
    return function_;
  }

 private:
  llvm::BasicBlock* Block(const char* name) { return llvm::BasicBlock::Create(types_.context, name, function_); }
  void Enter(llvm::BasicBlock* block) { builder_.SetInsertPoint(block); }

  Value* IsNull(Value* pointer) {
    return builder_.CreateICmpEQ(pointer, llvm::ConstantPointerNull::get(types_.pointer));
  }
  Value* IsClosed(Value* doors) { return builder_.CreateICmpSLT(doors, builder_.getInt32(0)); }
  Value* Load(Value* call, CallField field) {
    Value* place = builder_.CreateConstInBoundsGEP1_64(types_.pointer, call, static_cast<unsigned>(field));
    return builder_.CreateLoad(types_.pointer, place);
  }
  Value* LoadTeam(Value* team, TeamField field) {
    Value* place = builder_.CreateConstInBoundsGEP1_64(types_.pointer, team, static_cast<unsigned>(field));
    return builder_.CreateLoad(types_.pointer, place);
  }

  Value* Address(Value* call, Counter counter) {
    return builder_.CreateConstInBoundsGEP1_64(builder_.getInt8Ty(), call, static_cast<unsigned>(counter) * kLineBytes);
  }
  Value* LoadCounter(Value* address, llvm::AtomicOrdering ordering) {
    llvm::LoadInst* load = builder_.CreateAlignedLoad(builder_.getInt32Ty(), address, llvm::Align(4));
    load->setAtomic(ordering);
    return load;
  }
  void Store(Value* address, Value* value, llvm::AtomicOrdering ordering) {
    builder_.CreateAlignedStore(value, address, llvm::Align(4))->setAtomic(ordering);
  }
  Value* Add(Value* address, uint32_t value) {
    return builder_.CreateAtomicRMW(llvm::AtomicRMWInst::Add, address, builder_.getInt32(value), llvm::Align(4), kBoth);
  }
  // Whether the counter was `expected` and is `desired` now.
  Value* Exchange(Value* address, Value* expected, Value* desired) {
    Value* result = builder_.CreateAtomicCmpXchg(address, expected, desired, llvm::Align(4), kBoth, kAcquire);
    return builder_.CreateExtractValue(result, 1);
  }

  const EmitTypes& types_;
  llvm::Function* function_;
  llvm::IRBuilder<> builder_;
};

// The functions that all entries of a module share are written when the first one asks.
llvm::Function* JoinOf(EmitModule& emit) {
  const std::string name = "join";
  if (llvm::Function* known = emit.module.getFunction(emit.plan.name + "_" + name)) return known;
  return TeamWriter(emit, llvm::Type::getInt32Ty(emit.types.context), {emit.types.pointer}, name).Join();
}

llvm::Function* BodyOf(EmitModule& emit) {
  const std::string name = "body";
  if (llvm::Function* known = emit.module.getFunction(emit.plan.name + "_" + name)) return known;
  return TeamWriter(emit, llvm::Type::getVoidTy(emit.types.context), {emit.types.pointer, emit.types.size}, name)
      .Body(JoinOf(emit));
}

llvm::Function* MeetOf(EmitModule& emit) {
  const std::string name = "meet";
  if (llvm::Function* known = emit.module.getFunction(emit.plan.name + "_" + name)) return known;
  return TeamWriter(emit, llvm::Type::getVoidTy(emit.types.context), {emit.types.pointer}, name).Meet();
}

}  // namespace

Value* LoadMember(llvm::IRBuilder<>& builder, const EmitTypes& types, Value* member, MemberField field) {
  Value* place = builder.CreateConstInBoundsGEP1_64(types.pointer, member, static_cast<unsigned>(field));
  return builder.CreateLoad(field == MemberField::kCall ? static_cast<llvm::Type*>(types.pointer) : types.size, place);
}

Value* LoadTeamCount(llvm::IRBuilder<>& builder, const EmitTypes& types, Value* team) {
  return builder.CreateLoad(types.size, team);
}

void EmitShared(llvm::IRBuilder<>& builder, EmitModule& emit, Value* team, llvm::Function* work) {
  const EmitTypes& types = emit.types;
  llvm::Function* caller = builder.GetInsertBlock()->getParent();
  llvm::IRBuilder<> at_entry(&caller->getEntryBlock(), caller->getEntryBlock().begin());
  auto* call = at_entry.CreateAlloca(at_entry.getInt8Ty(), types.Word(kCallBytes), "call");
  call->setAlignment(llvm::Align(kLineBytes));
  auto place = [&](unsigned word) { return builder.CreateConstInBoundsGEP1_64(types.pointer, call, word); };
  builder.CreateStore(caller->getArg(0), place(static_cast<unsigned>(CallField::kSlots)));
  builder.CreateStore(team, place(static_cast<unsigned>(CallField::kTeam)));
  builder.CreateStore(work, place(static_cast<unsigned>(CallField::kWork)));
  for (Counter counter : {Counter::kDoors, Counter::kMet, Counter::kRound}) {
    builder.CreateStore(
        builder.getInt32(0),
        builder.CreateConstInBoundsGEP1_64(builder.getInt8Ty(), call, static_cast<unsigned>(counter) * kLineBytes));
  }
  Value* parallel_for = builder.CreateLoad(
      types.pointer,
      builder.CreateConstInBoundsGEP1_64(types.pointer, team, static_cast<unsigned>(TeamField::kParallelFor)));
  auto* type = llvm::FunctionType::get(builder.getVoidTy(), {types.pointer, types.pointer, types.pointer}, false);
  builder.CreateCall(type, parallel_for, {team, BodyOf(emit), call});
}

void EmitBarrier(llvm::IRBuilder<>& builder, EmitModule& emit, Value* member) {
  if (emit.plan.choices.only_one) return;
  EmitIf(builder, builder.CreateICmpNE(member, llvm::ConstantPointerNull::get(emit.types.pointer)),
         [&] { builder.CreateCall(MeetOf(emit), {member}); });
}

}  // namespace recurve
