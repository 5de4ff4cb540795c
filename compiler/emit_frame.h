// compiler/emit_frame.h: types, loops and the frame that kernels share.
//
// The frame of an entry is an array of words: the sizes of the symbolic axes, the thread's index, the number of
// threads, the team, the packed weights, the rows of the batch that the thread computes, the address of every buffer,
// then the range of steps of every chunk loop, the range of rows of a row loop and whether the tape is far.

#ifndef RECURVE_COMPILER_EMIT_FRAME_H_
#define RECURVE_COMPILER_EMIT_FRAME_H_

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "compiler/plan.h"

namespace recurve {

using llvm::Value;

// Types of one module.
struct EmitTypes {
  EmitTypes(llvm::Module& module, Precision precision);

  llvm::LLVMContext& context;
  llvm::Type* real;
  llvm::IntegerType* size;   // as wide as a pointer
  llvm::IntegerType* index;  // of index tensors: i32
  llvm::PointerType* pointer;
  int real_bytes;
  int word_bytes;

  // The element of a memory in that storage.
  llvm::Type* Stored(Storage storage) const;

  llvm::ConstantInt* Word(int64_t value) const { return llvm::ConstantInt::getSigned(size, value); }
};

// for (i = begin; i < end; i += step) body(i); LLVM is told to leave the loop as it is. Bounds and conditions that are
// constants leave no code behind where the body runs once or never.
void EmitLoop(llvm::IRBuilder<>& builder, Value* begin, Value* end, Value* step,
              const std::function<void(Value*)>& body);
// for (i = end - 1; i >= begin; --i) body(i)
void EmitReverseLoop(llvm::IRBuilder<>& builder, Value* begin, Value* end, const std::function<void(Value*)>& body);
// for (i = 0; i < count; ++i) carried = body(i, carried); returns what is carried out, `initial` for no iteration. A
// loop that `runs` has one at least.
std::vector<Value*> EmitCarriedLoop(llvm::IRBuilder<>& builder, Value* count, const std::vector<Value*>& initial,
                                    const std::function<std::vector<Value*>(Value*, std::vector<Value*>)>& body,
                                    bool runs = false);
void EmitIf(llvm::IRBuilder<>& builder, Value* condition, const std::function<void()>& body);
void EmitChoice(llvm::IRBuilder<>& builder, Value* condition, const std::function<void()>& then,
                const std::function<void()>& otherwise);

// The places of an entry's frame.
struct FrameLayout {
  FrameLayout(const Plan& plan, const EntryPlan& entry) : plan(plan), entry(entry) {}

  int Axis(const std::string& axis) const;
  int ThreadIndex() const { return static_cast<int>(plan.axes.size()); }
  int ThreadCount() const { return ThreadIndex() + 1; }
  int Team() const { return ThreadIndex() + 2; }
  int Packed() const { return ThreadIndex() + 3; }
  int BatchBegin() const { return ThreadIndex() + 4; }
  int BatchEnd() const { return ThreadIndex() + 5; }
  int Buffer(int buffer) const { return ThreadIndex() + 6 + buffer; }
  // The range of steps that a chunk loop is at.
  int ChunkBegin(int chunk) const { return Buffer(static_cast<int>(entry.buffers.size())) + 2 * chunk; }
  int ChunkEnd(int chunk) const { return ChunkBegin(chunk) + 1; }
  // The range of rows that a row loop is at.
  int RowBegin() const { return ChunkBegin(static_cast<int>(entry.chunks.size())); }
  int RowEnd() const { return RowBegin() + 1; }
  // Whether the tape is far, 1 or 0; of entries that want to know.
  int TapeIsFar() const { return RowBegin() + 2; }
  int Words() const { return RowBegin() + 3; }

  const Plan& plan;
  const EntryPlan& entry;
};

// A function over a frame: reads it once, in the first block, which dominates everything.
class FrameReader {
 public:
  // Words that are `known` are not read; a frame all of whose words are known need not be in memory. `loops` maps the
  // loop numbers of offset terms to their indices. Instructions go before `entry_end`, the terminator of the first
  // block.
  FrameReader(const EmitTypes& types, const FrameLayout& layout, Value* frame, std::map<int, Value*> known,
              std::map<int, Value*> loops, llvm::Instruction* entry_end);

  Value* Axis(const std::string& axis);
  Value* SizeValue(const Size& size);
  Value* ThreadIndex() { return Word(layout_.ThreadIndex()); }
  Value* ThreadCount() { return Word(layout_.ThreadCount()); }
  Value* ChunkBegin(int chunk) { return Word(layout_.ChunkBegin(chunk)); }
  Value* ChunkEnd(int chunk) { return Word(layout_.ChunkEnd(chunk)); }
  Value* RowBegin() { return Word(layout_.RowBegin()); }
  Value* RowEnd() { return Word(layout_.RowEnd()); }
  Value* BatchBegin() { return Word(layout_.BatchBegin()); }
  Value* BatchEnd() { return Word(layout_.BatchEnd()); }
  Value* TapeIsFar() { return Word(layout_.TapeIsFar()); }
  Value* Team() { return Load(layout_.Team(), types_.pointer); }
  Value* Packed() { return Load(layout_.Packed(), types_.pointer); }
  // The address of a view's first element.
  Value* Base(const View& view);
  // The type of its elements.
  llvm::Type* ElementOf(const View& view) const;
  const FrameLayout& layout() const { return layout_; }
  const EmitTypes& types() const { return types_; }

 private:
  Value* Word(int place) { return Load(place, types_.size); }
  Value* Load(int place, llvm::Type* type, const std::string& name = "");

  const EmitTypes& types_;
  const FrameLayout& layout_;
  Value* frame_;
  std::map<int, Value*> words_;  // by their places
  std::map<int, Value*> loops_;
  llvm::IRBuilder<> builder_;
  std::map<std::pair<int64_t, std::vector<std::string>>, Value*> sizes_;
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_EMIT_FRAME_H_
