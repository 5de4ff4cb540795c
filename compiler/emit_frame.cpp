// compiler/emit_frame.cpp: loops, and reading the frame.

#include "compiler/emit_frame.h"

#include <algorithm>

namespace recurve {
namespace {

// Marks a loop's branch: no unrolling, no vectorizing, no rotation into other shapes.
void LeaveLoopAlone(llvm::Instruction* branch) {
  llvm::LLVMContext& context = branch->getContext();
  auto flag = [&](const char* name, llvm::Metadata* value) -> llvm::Metadata* {
    std::vector<llvm::Metadata*> parts{llvm::MDString::get(context, name)};
    if (value != nullptr) parts.push_back(value);
    return llvm::MDNode::get(context, parts);
  };
  llvm::Metadata* no = llvm::ConstantAsMetadata::get(llvm::ConstantInt::getFalse(context));
  std::vector<llvm::Metadata*> parts{nullptr, flag("llvm.loop.unroll.disable", nullptr),
                                     flag("llvm.loop.vectorize.enable", no)};
  llvm::MDNode* node = llvm::MDNode::getDistinct(context, parts);
  node->replaceOperandWith(0, node);
  branch->setMetadata(llvm::LLVMContext::MD_loop, node);
}

}  // namespace

EmitTypes::EmitTypes(llvm::Module& module, Precision precision)
    : context(module.getContext()),
      real(precision == Precision::kF32 ? llvm::Type::getFloatTy(context) : llvm::Type::getDoubleTy(context)),
      size(module.getDataLayout().getIntPtrType(context)),
      index(llvm::Type::getInt32Ty(context)),
      pointer(llvm::PointerType::getUnqual(context)),
      real_bytes(ElementBytes(precision)),
      word_bytes(static_cast<int>(size->getBitWidth()) / 8) {}

llvm::Type* EmitTypes::Stored(Storage storage) const {
  return storage == Storage::kSame ? real : llvm::Type::getInt16Ty(context);
}

void EmitLoop(llvm::IRBuilder<>& builder, Value* begin, Value* end, Value* step,
              const std::function<void(Value*)>& body) {
  auto* first = llvm::dyn_cast<llvm::ConstantInt>(begin);
  auto* last = llvm::dyn_cast<llvm::ConstantInt>(end);
  auto* stride = llvm::dyn_cast<llvm::ConstantInt>(step);
  if (first != nullptr && last != nullptr && stride != nullptr) {
    const int64_t left = last->getSExtValue() - first->getSExtValue();
    if (left <= 0) return;
    if (left <= stride->getSExtValue()) return body(begin);
  }
  llvm::Function* function = builder.GetInsertBlock()->getParent();
  llvm::BasicBlock* before = builder.GetInsertBlock();
  llvm::BasicBlock* head = llvm::BasicBlock::Create(builder.getContext(), "loop", function);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(builder.getContext(), "after");
  builder.CreateCondBr(builder.CreateICmpSLT(begin, end), head, after);
  builder.SetInsertPoint(head);
  llvm::PHINode* index = builder.CreatePHI(begin->getType(), 2);
  index->addIncoming(begin, before);
  body(index);
  Value* next = builder.CreateAdd(index, step);
  index->addIncoming(next, builder.GetInsertBlock());
  LeaveLoopAlone(builder.CreateCondBr(builder.CreateICmpSLT(next, end), head, after));
  function->insert(function->end(), after);
  builder.SetInsertPoint(after);
}

void EmitReverseLoop(llvm::IRBuilder<>& builder, Value* begin, Value* end, const std::function<void(Value*)>& body) {
  Value* one = llvm::ConstantInt::get(end->getType(), 1);
  Value* last = builder.CreateSub(builder.CreateAdd(begin, end), one);
  EmitLoop(builder, begin, end, one, [&](Value* i) { body(builder.CreateSub(last, i)); });
}

std::vector<Value*> EmitCarriedLoop(llvm::IRBuilder<>& builder, Value* count, const std::vector<Value*>& initial,
                                    const std::function<std::vector<Value*>(Value*, std::vector<Value*>)>& body,
                                    bool runs) {
  Value* zero = llvm::ConstantInt::get(count->getType(), 0);
  Value* one = llvm::ConstantInt::get(count->getType(), 1);
  if (auto* known = llvm::dyn_cast<llvm::ConstantInt>(count)) {
    if (known->isOne()) return body(zero, initial);
    if (known->isZero()) return initial;
    runs |= known->getSExtValue() > 0;
  }
  llvm::Function* function = builder.GetInsertBlock()->getParent();
  llvm::BasicBlock* before = builder.GetInsertBlock();
  llvm::BasicBlock* head = llvm::BasicBlock::Create(builder.getContext(), "sum", function);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(builder.getContext(), "summed");
  if (runs) {
    builder.CreateBr(head);
  } else {
    builder.CreateCondBr(builder.CreateICmpSLT(zero, count), head, after);
  }
  builder.SetInsertPoint(head);
  llvm::PHINode* i = builder.CreatePHI(count->getType(), 2);
  i->addIncoming(zero, before);
  std::vector<llvm::PHINode*> carried;
  for (Value* value : initial) {
    carried.push_back(builder.CreatePHI(value->getType(), 2));
    carried.back()->addIncoming(value, before);
  }
  std::vector<Value*> next = body(i, std::vector<Value*>(carried.begin(), carried.end()));
  Value* next_i = builder.CreateAdd(i, one);
  llvm::BasicBlock* latch = builder.GetInsertBlock();
  i->addIncoming(next_i, latch);
  for (size_t v = 0; v < carried.size(); ++v) carried[v]->addIncoming(next[v], latch);
  builder.CreateCondBr(builder.CreateICmpSLT(next_i, count), head, after);
  function->insert(function->end(), after);
  builder.SetInsertPoint(after);
  if (runs) return next;
  std::vector<Value*> results;
  for (size_t v = 0; v < initial.size(); ++v) {
    llvm::PHINode* result = builder.CreatePHI(initial[v]->getType(), 2);
    result->addIncoming(initial[v], before);
    result->addIncoming(next[v], latch);
    results.push_back(result);
  }
  return results;
}

void EmitIf(llvm::IRBuilder<>& builder, Value* condition, const std::function<void()>& body) {
  EmitChoice(builder, condition, body, nullptr);
}

void EmitChoice(llvm::IRBuilder<>& builder, Value* condition, const std::function<void()>& then,
                const std::function<void()>& otherwise) {
  if (auto* known = llvm::dyn_cast<llvm::ConstantInt>(condition)) {
    if (known->isOne()) {
      then();
    } else if (otherwise) {
      otherwise();
    }
    return;
  }
  llvm::Function* function = builder.GetInsertBlock()->getParent();
  auto block = [&](const char* name) { return llvm::BasicBlock::Create(builder.getContext(), name); };
  llvm::BasicBlock *if_so = block("then"), *after = block("after"), *if_not = otherwise ? block("else") : after;
  builder.CreateCondBr(condition, if_so, if_not);
  auto fill = [&](llvm::BasicBlock* part, const std::function<void()>& body) {
    function->insert(function->end(), part);
    builder.SetInsertPoint(part);
    body();
    builder.CreateBr(after);
  };
  fill(if_so, then);
  if (otherwise) fill(if_not, otherwise);
  function->insert(function->end(), after);
  builder.SetInsertPoint(after);
}

int FrameLayout::Axis(const std::string& axis) const {
  return static_cast<int>(std::ranges::find(plan.axes, axis) - plan.axes.begin());
}

FrameReader::FrameReader(const EmitTypes& types, const FrameLayout& layout, Value* frame, std::map<int, Value*> known,
                         std::map<int, Value*> loops, llvm::Instruction* entry_end)
    : types_(types),
      layout_(layout),
      frame_(frame),
      words_(std::move(known)),
      loops_(std::move(loops)),
      builder_(entry_end) {}

Value* FrameReader::Load(int place, llvm::Type* type, const std::string& name) {
  Value*& word = words_[place];
  if (word == nullptr) {
    Value* address = builder_.CreateConstInBoundsGEP1_64(types_.pointer, frame_, place);
    word = builder_.CreateLoad(type, address, name);
  }
  return word;
}

Value* FrameReader::Axis(const std::string& axis) { return Word(layout_.Axis(axis)); }

Value* FrameReader::SizeValue(const Size& size) {
  if (size.axes.empty()) return types_.Word(size.factor);
  Value*& value = sizes_[{size.factor, size.axes}];
  if (value == nullptr) {
    value = types_.Word(size.factor);
    for (const std::string& axis : size.axes) value = builder_.CreateMul(value, Axis(axis));
  }
  return value;
}

Value* FrameReader::Base(const View& view) {
  Value* offset = types_.Word(0);
  for (const OffsetTerm& term : view.offset) {
    Value* position = types_.Word(term.shift);
    if (term.loop >= 0) position = builder_.CreateAdd(position, loops_.at(term.loop));
    if (!term.shift_axis.empty()) position = builder_.CreateAdd(position, Axis(term.shift_axis));
    if (term.ring) position = builder_.CreateAnd(position, types_.Word(1));
    offset = builder_.CreateAdd(offset, builder_.CreateMul(position, SizeValue(term.stride)));
  }
  Value* buffer = Load(layout_.Buffer(view.buffer), types_.pointer, layout_.entry.buffers[view.buffer].name);
  return builder_.CreateGEP(ElementOf(view), buffer, offset);
}

llvm::Type* FrameReader::ElementOf(const View& view) const {
  const auto& buffer = layout_.entry.buffers[view.buffer];
  return buffer.is_index ? types_.index : types_.Stored(buffer.storage);
}

}  // namespace recurve
