// compiler/emit_kernel.cpp: what all kernels are made of: vectors from and to memory, addresses, the rows and steps
// that a call walks, and lane programs.

#include "compiler/emit_kernel.h"

#include <algorithm>
#include <numeric>

#include "compiler/emit_team.h"
#include "compiler/lane_storage.h"

namespace recurve {

using Kind = LaneInstruction::Kind;

llvm::Function* EmitModule::NewFunction(const std::string& name, std::vector<llvm::Type*> parameters, bool keep_apart) {
  llvm::FunctionType* type = llvm::FunctionType::get(llvm::Type::getVoidTy(types.context), parameters, false);
  llvm::Function* function = llvm::Function::Create(type, llvm::GlobalValue::InternalLinkage, name, module);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  if (keep_apart) function->addFnAttr(llvm::Attribute::NoInline);
  // Wide registers even where the processor's default is to avoid them.
  std::string bits = std::to_string(plan.machine.vector_bytes * 8);
  function->addFnAttr("prefer-vector-width", bits);
  function->addFnAttr("min-legal-vector-width", bits);
  return function;
}

Value* EmitVectorLoad(LaneBuilder& lanes, Value* pointer, Value* stride, const Size& known_stride, int valid,
                      Storage storage) {
  llvm::IRBuilder<>& builder = lanes.ir();
  const int width = lanes.shape().width, count = valid == 0 ? width : valid;
  llvm::Type* element = StoredElement(lanes, storage);
  llvm::Align align(element->getScalarSizeInBits() / 8);
  auto widened = [&](Value* stored) { return Widen(lanes, stored, storage).value; };
  if (width == 1) return widened(builder.CreateAlignedLoad(element, pointer, align));
  if (known_stride == Size{}) {
    llvm::Type* part = llvm::FixedVectorType::get(element, static_cast<unsigned>(count));
    Value* stored = builder.CreateAlignedLoad(part, pointer, align);
    if (count == width) return widened(stored);
    std::vector<int> order(static_cast<size_t>(width), llvm::PoisonMaskElem);
    std::iota(order.begin(), order.begin() + count, 0);
    return widened(builder.CreateShuffleVector(stored, order));
  }
  Value* vector = llvm::PoisonValue::get(llvm::FixedVectorType::get(element, static_cast<unsigned>(width)));
  for (int i = 0; i < count; ++i) {
    Value* offset = builder.CreateMul(stride, llvm::ConstantInt::get(stride->getType(), i));
    Value* address = builder.CreateGEP(element, pointer, offset);
    vector = builder.CreateInsertElement(vector, builder.CreateAlignedLoad(element, address, align), i);
  }
  return widened(vector);
}

void EmitVectorStore(LaneBuilder& lanes, Value* value, Value* pointer, Value* stride, const Size& known_stride,
                     int valid, Storage storage) {
  llvm::IRBuilder<>& builder = lanes.ir();
  const int width = lanes.shape().width, count = valid == 0 ? width : valid;
  llvm::Type* element = StoredElement(lanes, storage);
  llvm::Align align(element->getScalarSizeInBits() / 8);
  value = Narrow(lanes.Wrap(value), storage);
  if (width == 1 || known_stride == Size{}) {
    if (count != width) {
      std::vector<int> order(static_cast<size_t>(count));
      std::iota(order.begin(), order.end(), 0);
      value = builder.CreateShuffleVector(value, order);
    }
    builder.CreateAlignedStore(value, pointer, align);
    return;
  }
  for (int i = 0; i < count; ++i) {
    Value* offset = builder.CreateMul(stride, llvm::ConstantInt::get(stride->getType(), i));
    Value* address = builder.CreateGEP(element, pointer, offset);
    builder.CreateAlignedStore(builder.CreateExtractElement(value, i), address, align);
  }
}

void EmitStoreAround(llvm::IRBuilder<>& builder, Value* value, Value* pointer) {
  const uint64_t bytes = value->getType()->getPrimitiveSizeInBits() / 8;
  llvm::StoreInst* store = builder.CreateAlignedStore(value, pointer, llvm::Align(bytes));
  llvm::Metadata* yes = llvm::ConstantAsMetadata::get(builder.getInt32(1));
  store->setMetadata(llvm::LLVMContext::MD_nontemporal, llvm::MDNode::get(builder.getContext(), yes));
}

void EmitPrefetch(llvm::IRBuilder<>& builder, Value* address, Fetch fetch) {
  const bool writes = fetch == Fetch::kToWrite;
  const uint32_t locality = writes ? 3 : 2;
  constexpr uint32_t kData = 1;
  builder.CreateIntrinsic(llvm::Intrinsic::prefetch, {address->getType()},
                          {address, builder.getInt32(writes), builder.getInt32(locality), builder.getInt32(kData)});
}

void StoredVectors::Store(const View& view, Value* unit, int valid, Value* vector) {
  const bool is_known = llvm::isa<llvm::ConstantInt>(unit);
  std::erase_if(stored_, [&](const Stored& old) {
    return old.view.buffer == view.buffer && (!is_known || old.view != view || old.unit == unit);
  });
  if (is_known) stored_.push_back({view, unit, valid, vector});
}

Value* StoredVectors::Find(const View& view, Value* unit, int valid) const {
  const auto found = std::ranges::find_if(
      stored_, [&](const Stored& one) { return one.unit == unit && one.valid == valid && one.view == view; });
  return found == stored_.end() ? nullptr : found->vector;
}

KernelEmitter::KernelEmitter(EmitModule& emit, const FrameLayout& layout, const Kernel& kernel,
                             const std::vector<int>& loops, llvm::Function* function,
                             const std::map<int, Value*>& known)
    : emit_(emit), kernel_(kernel), builder_(emit.types.context), function_(function) {
  entry_ = llvm::BasicBlock::Create(emit.types.context, "entry", function_);
  llvm::BasicBlock* body = llvm::BasicBlock::Create(emit.types.context, "body", function_);
  builder_.SetInsertPoint(entry_);
  llvm::Instruction* entry_end = builder_.CreateBr(body);
  builder_.SetInsertPoint(body);
  std::map<int, Value*> indices;
  for (size_t i = 0; i < loops.size(); ++i) {
    turn_ = function_->getArg(static_cast<unsigned>(i) + 1);
    indices[loops[i]] = turn_;
  }
  if (kernel.kind == KernelKind::kRecurrence) indices[kernel.recurrence.loop] = Word(0);  // `At` adds the step
  frame_.emplace(emit.types, layout, function_->getArg(0), known, std::move(indices), entry_end);
}

KernelEmitter::KernelEmitter(EmitModule& emit, const FrameLayout& layout, const Kernel& kernel,
                             const llvm::IRBuilder<>& builder, const std::map<int, Value*>& words, Value* turn,
                             StoredVectors* stored)
    : emit_(emit), kernel_(kernel), builder_(builder.GetInsertBlock()), stored_(stored), turn_(turn) {
  function_ = builder.GetInsertBlock()->getParent();
  entry_ = &function_->getEntryBlock();
  frame_.emplace(emit.types, layout, nullptr, words, std::map<int, Value*>{}, entry_->getTerminator());
}

void KernelEmitter::Emit() {
  EmitBody();
  builder_.CreateRetVoid();
}

void KernelEmitter::EmitInto(llvm::IRBuilder<>& builder) {
  if (kernel_.kind != KernelKind::kMap || !HasOneRow()) {
    stored_->Clear();
    stored_ = nullptr;
  }
  EmitBody();
  builder.SetInsertPoint(builder_.GetInsertBlock());
}

void KernelEmitter::EmitBody() {
  switch (kernel_.kind) {
    case KernelKind::kMap: EmitMap(); break;
    case KernelKind::kReduce: EmitReduce(); break;
    case KernelKind::kProduct: EmitProduct(); break;
    case KernelKind::kScatter: EmitScatter(); break;
    case KernelKind::kRecurrence: EmitRecurrence(); break;
  }
}

// The address of the view's element at the indices; axes beyond them are at 0.
Value* KernelEmitter::At(const View& view, const Indices& indices) {
  Value*& base = bases_[&view];
  if (base == nullptr) base = frame_->Base(view);
  Value* offset = nullptr;
  for (size_t i = 0; i < std::min(indices.size(), view.axes.size()); ++i) {
    if (view.axes[i].stride.factor == 0) continue;
    Value* term = builder_.CreateMul(indices[i], frame_->SizeValue(view.axes[i].stride));
    offset = offset == nullptr ? term : builder_.CreateAdd(offset, term);
  }
  if (Value* steps = StepOffset(view)) offset = offset == nullptr ? steps : builder_.CreateAdd(offset, steps);
  if (offset == nullptr) return base;
  return builder_.CreateGEP(ElementOf(view), base, offset);
}

Value* KernelEmitter::StepOffset(const View& view) {
  Value* offset = nullptr;
  for (const OffsetTerm& term : view.offset) {
    if (time_ == nullptr || term.loop != kernel_.recurrence.loop) continue;
    Value* steps = time_;
    if (term.ring) {  // the slot of the step less that of step 0
      Value* slot = builder_.CreateAnd(builder_.CreateAdd(time_, Word(term.shift)), Word(1));
      steps = builder_.CreateSub(slot, Word(term.shift & 1));
    }
    Value* distance = builder_.CreateMul(steps, frame_->SizeValue(term.stride));
    offset = offset == nullptr ? distance : builder_.CreateAdd(offset, distance);
  }
  return offset;
}

Value* KernelEmitter::LoadScalar(const View& view, Value* pointer) {
  LaneBuilder scalar(builder_, emit_.Shape(1));
  return EmitVectorLoad(scalar, pointer, Word(1), Size{}, 0, StorageOf(view));
}

// Part `part` of `parts` of [0, count).
KernelEmitter::Range KernelEmitter::Split(Value* count, Value* parts, Value* part) {
  Value* next = builder_.CreateAdd(part, Word(1));
  return {builder_.CreateUDiv(builder_.CreateMul(count, part), parts),
          builder_.CreateUDiv(builder_.CreateMul(count, next), parts)};
}

KernelEmitter::Range KernelEmitter::SplitAmongThreads(Range range) {
  if (kernel_.in_row_loop) return range;  // which is the thread's already
  Range part = Split(builder_.CreateSub(range.end, range.begin), Threads(), Thread());
  return {builder_.CreateAdd(range.begin, part.begin), builder_.CreateAdd(range.begin, part.end)};
}

// Whether this call computes some rows of the batch only; null when it never does.
Value* KernelEmitter::HasOwnRows() {
  if (kernel_.batch_axis < 0) return nullptr;
  Value* own = builder_.CreateSub(frame_->BatchEnd(), frame_->BatchBegin());
  return builder_.CreateICmpNE(own, frame_->Axis("B"));
}

// Threads that share what this call computes: one, where each computes its own rows of the batch.
Value* KernelEmitter::Threads() {
  Value* own = HasOwnRows();
  return own == nullptr ? frame_->ThreadCount() : builder_.CreateSelect(own, Word(1), frame_->ThreadCount());
}

Value* KernelEmitter::Thread() {
  Value* own = HasOwnRows();
  return own == nullptr ? frame_->ThreadIndex() : builder_.CreateSelect(own, Word(0), frame_->ThreadIndex());
}

void KernelEmitter::EmitOwnRows(size_t axis, const std::function<void(Range)>& body) {
  const Size& size = kernel_.rows[axis];
  if (kernel_.batch_axis != static_cast<int>(axis) || size.axes.size() == 1) return body(RowRange(axis));
  // Axis [steps][batch][constant]: all of it in one go, or the own rows of one step after the other.
  Value* own = HasOwnRows();
  Range all = RowRange(axis);
  Value* step = builder_.CreateMul(frame_->Axis("B"), Word(size.factor));
  Value* first = builder_.CreateSelect(own, builder_.CreateUDiv(all.begin, step), Word(0));
  Value* last = builder_.CreateSelect(own, builder_.CreateUDiv(all.end, step), Word(1));
  EmitLoop(builder_, first, last, Word(1), [&](Value* t) {
    Value* start = builder_.CreateMul(t, step);
    auto bound = [&](Value* batch, Value* otherwise) {
      Value* at = builder_.CreateAdd(start, builder_.CreateMul(batch, Word(size.factor)));
      return builder_.CreateSelect(own, at, otherwise);
    };
    body({bound(frame_->BatchBegin(), all.begin), bound(frame_->BatchEnd(), all.end)});
  });
}

KernelEmitter::Range KernelEmitter::WalkedRange(const std::vector<Size>& extents, size_t axis, bool is_chunked) {
  if (kernel_.chunk < 0 || axis != 0 || !is_chunked) return {Word(0), frame_->SizeValue(extents[axis])};
  Value* step = frame_->SizeValue(kernel_.step_rows);
  return {builder_.CreateMul(frame_->ChunkBegin(kernel_.chunk), step),
          builder_.CreateMul(frame_->ChunkEnd(kernel_.chunk), step)};
}

KernelEmitter::Range KernelEmitter::RowRange(size_t axis) {
  if (kernel_.in_row_loop) return {frame_->RowBegin(), frame_->RowEnd()};
  if (kernel_.batch_axis == static_cast<int>(axis) && kernel_.rows[axis].axes.size() == 1) {
    Value* step = Word(kernel_.rows[axis].factor);
    return {builder_.CreateMul(frame_->BatchBegin(), step), builder_.CreateMul(frame_->BatchEnd(), step)};
  }
  return WalkedRange(kernel_.rows, axis, !kernel_.sums_steps);
}

KernelEmitter::Range KernelEmitter::ReducedRange(size_t axis) {
  if (terms_) return terms_->range;
  return WalkedRange(kernel_.reduced, axis, kernel_.sums_steps);
}

Value* KernelEmitter::IsFirstChunk() {
  if (kernel_.chunk < 0 || !kernel_.sums_steps) return nullptr;
  const Chunks& chunks = frame_->layout().entry.chunks[kernel_.chunk];
  if (chunks.reverse) return builder_.CreateICmpEQ(frame_->ChunkEnd(kernel_.chunk), frame_->Axis(chunks.time));
  return builder_.CreateICmpEQ(frame_->ChunkBegin(kernel_.chunk), Word(0));
}

void KernelEmitter::EmitNest(const std::vector<Range>& ranges, Indices& indices, const std::function<void()>& body) {
  std::function<void(size_t)> nest = [&](size_t axis) {
    if (axis == ranges.size()) return body();
    EmitLoop(builder_, ranges[axis].begin, ranges[axis].end, Word(1), [&](Value* i) {
      indices.push_back(i);
      nest(axis + 1);
      indices.pop_back();
    });
  };
  nest(0);
}

void KernelEmitter::EmitRowNest(Indices& indices, const std::function<void()>& body) {
  std::vector<Range> ranges;
  for (size_t axis = 0; axis + 1 < kernel_.rows.size(); ++axis) ranges.push_back(RowRange(axis));
  EmitNest(ranges, indices, body);
}

Value* KernelEmitter::Scratch(int64_t elements) {
  llvm::IRBuilder<> builder(entry_, entry_->begin());
  llvm::AllocaInst* memory = builder.CreateAlloca(emit_.types.real, Word(elements), "scratch");
  memory->setAlignment(llvm::Align(RECURVE_ALIGNMENT));
  return memory;
}

void KernelEmitter::CallBarrier() { EmitBarrier(builder_, emit_, frame_->Team()); }

// ---- Lane programs -----------------------------------------------------------------------------------------------

KernelEmitter::Row KernelEmitter::BeginRow(const Indices& indices) {
  Row row;
  for (const LaneInstruction& instruction : kernel_.program) {
    Value* pointer = nullptr;
    Value* scalar = nullptr;
    switch (instruction.kind) {
      case Kind::kLoad:
        pointer = At(instruction.view, indices);
        if (instruction.view.axes.back().stride.factor == 0) scalar = LoadScalar(instruction.view, pointer);
        break;
      case Kind::kGather: {
        Value* index = builder_.CreateLoad(emit_.types.index, At(instruction.index, indices));
        Value* offset = builder_.CreateMul(builder_.CreateSExtOrTrunc(index, emit_.types.size),
                                           frame_->SizeValue(instruction.row_stride));
        pointer = builder_.CreateGEP(ElementOf(instruction.view), At(instruction.view, indices), offset);
        if (instruction.view.axes.back().stride.factor == 0) scalar = LoadScalar(instruction.view, pointer);
        break;
      }
      case Kind::kOneHot: {
        Value* index = builder_.CreateLoad(emit_.types.index, At(instruction.index, indices));
        scalar = builder_.CreateSExtOrTrunc(index, emit_.types.size);
        break;
      }
      case Kind::kRowIndex: scalar = builder_.CreateSIToFP(indices.back(), emit_.types.real); break;
      case Kind::kIndex: pointer = At(instruction.index, indices); break;
      case Kind::kConstant:
      case Kind::kSum:
      case Kind::kElementwise:
      case Kind::kUnitIndex:
      case Kind::kExtent: break;
    }
    row.pointers.push_back(pointer);
    row.scalars.push_back(scalar);
  }
  Indices row_indices(indices.begin(), indices.begin() + static_cast<ptrdiff_t>(kernel_.rows.size()));
  for (const LaneStore& store : kernel_.stores) row.stores.push_back(At(store.view, row_indices));
  return row;
}

// The value of instruction `i` for the first `valid` lanes from `unit` on, from those before it.
Lane KernelEmitter::RunInstruction(LaneBuilder& lanes, const Row& row, Value* unit, int valid, const SumLoader& sum,
                                   size_t i, const std::vector<Lane>& values) {
  const LaneInstruction& instruction = kernel_.program[i];
  // unit + offset + lane, as 32-bit integers: vocabularies and widths are far smaller.
  auto unit_numbers = [&](int64_t offset) -> Value* {
    Value* first = builder_.CreateIntCast(builder_.CreateAdd(unit, Word(offset)), builder_.getInt32Ty(), true);
    if (lanes.shape().width == 1) return first;
    std::vector<llvm::Constant*> numbers;
    for (int lane = 0; lane < lanes.shape().width; ++lane)
      numbers.push_back(builder_.getInt32(static_cast<uint32_t>(lane)));
    return builder_.CreateAdd(builder_.CreateVectorSplat(lanes.shape().width, first),
                              llvm::ConstantVector::get(numbers));
  };
  switch (instruction.kind) {
    case Kind::kConstant: return lanes.Constant(instruction.value);
    case Kind::kLoad:
    case Kind::kGather: {
      if (row.scalars[i] != nullptr) return lanes.Splat(row.scalars[i]);
      if (stored_ != nullptr && instruction.kind == Kind::kLoad) {
        if (Value* vector = stored_->Find(instruction.view, unit, valid)) return lanes.Wrap(vector);
      }
      Value* stride = StrideOf(instruction.view);
      Value* pointer =
          builder_.CreateGEP(ElementOf(instruction.view), row.pointers[i], builder_.CreateMul(unit, stride));
      return lanes.Wrap(EmitVectorLoad(lanes, pointer, stride, instruction.view.axes.back().stride, valid,
                                       StorageOf(instruction.view)));
    }
    case Kind::kSum: return lanes.Wrap(sum(lanes, instruction));
    case Kind::kElementwise: {
      std::vector<Lane> operands;
      for (int arg : instruction.args) operands.push_back(values[arg]);
      return lanes.Elementwise(instruction.op, operands);
    }
    case Kind::kOneHot: {
      Value* index = builder_.CreateIntCast(row.scalars[i], builder_.getInt32Ty(), true);
      if (lanes.shape().width > 1) index = builder_.CreateVectorSplat(lanes.shape().width, index);
      Value* equal = builder_.CreateICmpEQ(unit_numbers(instruction.offset), index);
      return lanes.Wrap(builder_.CreateSelect(equal, lanes.Constant(1).value, lanes.Constant(0).value));
    }
    case Kind::kUnitIndex: return lanes.Wrap(builder_.CreateSIToFP(unit_numbers(instruction.offset), lanes.type()));
    case Kind::kRowIndex: return lanes.Splat(row.scalars[i]);
    case Kind::kIndex: return LoadIndices(lanes, instruction.index, row.pointers[i], unit, valid);
    case Kind::kExtent: return lanes.Splat(builder_.CreateSIToFP(frame_->Axis(instruction.axis), emit_.types.real));
  }
  return {};
}

// Integers of the first `valid` units as reals; one of them where they are all the same.
Lane KernelEmitter::LoadIndices(LaneBuilder& lanes, const View& view, Value* pointer, Value* unit, int valid) {
  bool same = view.axes.back().stride.factor == 0;
  auto real = [&](Value* place) {
    return builder_.CreateSIToFP(builder_.CreateLoad(emit_.types.index, place), emit_.types.real);
  };
  if (same) return lanes.Splat(real(pointer));
  Value* numbers = llvm::PoisonValue::get(lanes.type());
  for (int lane = 0; lane < valid; ++lane) {
    Value* at = builder_.CreateMul(builder_.CreateAdd(unit, Word(lane)), StrideOf(view));
    Value* number = real(builder_.CreateGEP(emit_.types.index, pointer, at));
    numbers = lanes.shape().width == 1 ? number : builder_.CreateInsertElement(numbers, number, uint64_t(lane));
  }
  return lanes.Wrap(numbers);
}

std::vector<Lane> KernelEmitter::RunProgram(LaneBuilder& lanes, const Row& row, Value* unit, int valid,
                                            const SumLoader& sum) {
  std::vector<Lane> values;
  for (size_t i = 0; i < kernel_.program.size(); ++i) {
    values.push_back(RunInstruction(lanes, row, unit, valid, sum, i, values));
  }
  return values;
}

void KernelEmitter::RunStores(LaneBuilder& lanes, const Row& row, Value* unit, int valid,
                              const std::vector<Lane>& values) {
  auto run = [&](bool to_far, bool around) {
    for (size_t i = 0; i < kernel_.stores.size(); ++i) {
      const LaneStore& store = kernel_.stores[i];
      if (store.to_far != to_far) continue;
      Value* stride = StrideOf(store.view);
      Value* pointer = builder_.CreateGEP(ElementOf(store.view), row.stores[i], builder_.CreateMul(unit, stride));
      if (around) {
        EmitStoreAround(builder_, values[store.value].value, pointer);
      } else {
        EmitVectorStore(lanes, values[store.value].value, pointer, stride, store.view.axes.back().stride, valid,
                        StorageOf(store.view));
      }
      if (stored_ != nullptr && frame_->layout().entry.buffers[store.view.buffer].place == Place::kWorkspace)
        stored_->Store(store.view, unit, valid, values[store.value].value);
    }
  };
  run(/*to_far=*/false, /*around=*/false);
  if (std::ranges::none_of(kernel_.stores, &LaneStore::to_far)) return;
  Value* is_far = builder_.CreateICmpNE(frame_->TapeIsFar(), Word(0));
  EmitChoice(builder_, is_far, [&] { run(true, true); }, [&] { run(true, false); });
}

}  // namespace recurve
