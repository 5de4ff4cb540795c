// compiler/emit_kernel.h: one kernel as a function of the frame and the time indices around it.

#ifndef RECURVE_COMPILER_EMIT_KERNEL_H_
#define RECURVE_COMPILER_EMIT_KERNEL_H_

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "compiler/emit_frame.h"
#include "compiler/lanes.h"
#include "compiler/plan_tile.h"

namespace recurve {

// What the kernels of a module share: types and register tiles.
struct EmitModule {
  llvm::Module& module;
  const Plan& plan;
  EmitTypes types;
  std::map<std::pair<TileShape, std::vector<int>>, llvm::Function*> tiles;  // by their heights
  std::map<Storage, llvm::Function*> pack_columns = {};
  std::vector<llvm::Constant*> constants = {};  // addresses, in the order of the plan

  LaneShape Shape(int width) const {
    return {.element_bytes = types.real_bytes,
            .width = width,
            .fused_multiply_add = plan.machine.fused_multiply_add,
            .half_conversions = plan.machine.half_conversions,
            .scalar_selects = plan.machine.scalar_selects,
            .math = plan.math};
  }
  llvm::Function* NewFunction(const std::string& name, std::vector<llvm::Type*> parameters, bool keep_apart);
};

// A register tile over a range of rows (emit_tile.cpp): for rows r < count and columns c,
//   scratch[r * scratch_stride + c] = sum over k < depth of a[r * a_row_stride + k * a_depth_stride] * panel[k][c]
// where columns are vectors of `lanes` and the panel is [depth][columns][lanes].
//   void(ptr a, word a_row_stride, word a_depth_stride, ptr panel, word depth, ptr scratch, word scratch_stride, word
//   count[, ptr ahead][, word continues][, i1 backwards | is_first])
// Strides are ignored where the shape knows them. The storage of a and the panel's format may be 16-bit; the scratch is
// in full. Tiles that prefetch bring the panel `ahead` into the second-level cache, each a part of it. Tiles that
// continue begin with what is in the scratch if `continues` is not 0. Those that go either way begin with the last term
// if `backwards`. Those that accumulate add their sums to what is in the scratch, unless they are `is_first`. The
// scratch may be any memory. `counts` are those that it is called with, if they are known: only tiles that these need
// are made.
llvm::Function* TileRows(EmitModule& emit, const TileShape& shape, const std::vector<int64_t>& counts = {});

// Reads or writes the first `valid` lanes (all, if 0) at `stride` (elements) from `pointer`; the others are poison. No
// element beyond them is touched. Memory in 16 bits is widened and rounded (lane_storage.h).
Value* EmitVectorLoad(LaneBuilder& lanes, Value* pointer, Value* stride, const Size& known_stride, int valid = 0,
                      Storage storage = Storage::kSame);
void EmitVectorStore(LaneBuilder& lanes, Value* value, Value* pointer, Value* stride, const Size& known_stride,
                     int valid = 0, Storage storage = Storage::kSame);

// Stores a whole vector, at a multiple of its size, around the caches.
void EmitStoreAround(llvm::IRBuilder<>& builder, Value* value, Value* pointer);

// Brings the line at an address, of any memory, into the second-level cache, or into the first to be written.
enum class Fetch : uint8_t { kToRead, kToWrite };
void EmitPrefetch(llvm::IRBuilder<>& builder, Value* address, Fetch fetch);

// The weights of one block; its first term.
struct TilePanel {
  Value* first;
  int columns;
};

// What the loop of a register tile reads: panels side by side, each with columns of its own instead of the shape's.
struct TileOperands {
  const TileShape& shape;
  std::vector<Value*> rows;  // of the left side
  Value* depth_stride;       // of the left side
  std::vector<TilePanel> panels;
  std::vector<Value*> ahead = {};  // term k fetches line k of each
  Value* backwards = nullptr;      // whether the last term is the first that is added; null: it is not
};

// The loop of a register tile, at the builder's place: the sums [panel][row][column] over k < depth, at least
// one (two where they are made in halves), of
//   rows[row][k * depth_stride] * panels[panel][k][column]
// and what they are `initial`ly, if that is not empty.
std::vector<Value*> EmitTileSums(EmitModule& emit, llvm::IRBuilder<>& builder, const TileOperands& operands,
                                 Value* depth, std::vector<Value*> initial = {});

// Vectors that the code before has stored into workspace, where it is one straight line. Later kernels take them from
// here: a load would wait for the store.
class StoredVectors {
 public:
  // The first `valid` units from `unit` on; where the unit is not a constant, all of the buffer is forgotten.
  void Store(const View& view, Value* unit, int valid, Value* vector);
  Value* Find(const View& view, Value* unit, int valid) const;  // null: not known
  void Clear() { stored_.clear(); }

 private:
  struct Stored {
    View view;
    Value* unit;
    int valid;
    Value* vector;
  };
  std::vector<Stored> stored_;
};

class KernelEmitter {
 public:
  // The body of a function of the frame, of whose words `known` need not be read, and of the indices of `loops`: the
  // numbers of the loops around the call, outermost first.
  KernelEmitter(EmitModule& emit, const FrameLayout& layout, const Kernel& kernel, const std::vector<int>& loops,
                llvm::Function* function, const std::map<int, Value*>& known = {});
  // A piece of the function that the builder is in, whose first block has an end already; `words` are those of the
  // frame. There must be no time loop around it; `turn` counts its calls, or is null. `stored` goes from piece to
  // piece.
  KernelEmitter(EmitModule& emit, const FrameLayout& layout, const Kernel& kernel, const llvm::IRBuilder<>& builder,
                const std::map<int, Value*>& words, Value* turn, StoredVectors* stored);

  void Emit();
  // The piece; the builder goes on behind it.
  void EmitInto(llvm::IRBuilder<>& builder);

 private:
  using Indices = std::vector<Value*>;
  struct Range {
    Value* begin;
    Value* end;
  };
  // Addresses of the lane program for one row, at unit 0; and the scalars it reads there.
  struct Row {
    std::vector<Value*> pointers;  // per instruction: loads and gathers
    std::vector<Value*> scalars;   // per instruction: loads without a unit stride, one-hot indices
    std::vector<Value*> stores;
  };

  void EmitBody();
  // The parts of a product with a block of the panels.
  struct PanelOperands {
    Value* left;        // its first row
    Value* row_stride;  // of the left side
    Value* depth_stride;
    Value* panels;  // of the block
  };
  PanelOperands OperandsOf(const MapProduct& product, const Indices& outer, Value* row, Value* block);
  // Whether the order of blocks changes from call to call. Steps of several rows have no count of their calls.
  bool Alternates() const { return kernel_.alternates && turn_ != nullptr; }
  // Of this call, whether it goes the other way.
  Value* IsBackwards() { return builder_.CreateTrunc(turn_, builder_.getInt1Ty()); }
  // Whether this call computes one row, and it is known.
  bool HasOneRow();
  // Whether a Map of one row loads something, and all of it is known: its vectors are then few.
  bool LoadsWhatIsStored() const;
  bool HasWholeBlocks() const { return Units() % (kernel_.lanes * kernel_.vectors) == 0; }
  bool HasRest() const;  // of a product the last block has fewer columns than the others
  void EmitMap();
  void EmitMapRows(Range rows);
  void EmitMapWithProducts();
  void EmitProductRows(const std::vector<Value*>& scratch, Range rows);
  void EmitProductsOfOneRow(const Indices& outer);
  // Of units: so many whole vectors, and one that is cut short if `valid` is not 0.
  struct Block {
    Value* number;
    int full_vectors;
    int valid;
    bool is_last = false;  // may have other columns
  };
  void EmitBlocksOfOneRow(const Indices& outer, const Row& at, const std::vector<Block>& blocks);
  // Rows and units that are computed together.
  struct RowBlock {
    const Indices& outer;
    Value* row;
    Value* count;
    Value* block;                 // of units
    Value* next_block = nullptr;  // whose panels are fetched by tiles that prefetch
    Value* is_last = nullptr;     // whether the block is the last one
  };
  void EmitProducts(const std::vector<Value*>& scratch, const RowBlock& at);
  void EmitProgramOfBlock(const std::vector<Value*>& scratch, const RowBlock& at);
  void EmitStoredSums(const RowBlock& at);  // kernel_.stores_sums
  // Sums go to rows that are so far apart.
  void EmitProductOfBlock(const MapProduct& product, const BlockColumns& columns, const RowBlock& at, Value* sums,
                          Value* row_stride);
  void EmitReduce();
  void EmitReduceRows(Range rows);
  void EmitReduceColumns(const Indices& rows);
  void EmitReduceRow(const Indices& rows, Value* first_unit, int vectors, int valid);
  void EmitReduceUnits(const Indices& rows);
  void EmitProduct();
  // Some terms of a block of rows: a packed left side.
  struct ProductSlice {
    Value* left;
    Value* depth;
    Value* count;                        // of rows
    const std::vector<int64_t>& counts;  // that blocks have, if they are known
    Value* is_first;                     // of all terms
  };
  void EmitProductTiles(const ProductSlice& slice, Value* panel, Value* results, Value* row_stride);
  void AddProduct(const ProductSlice& slice, Value* block, Value* scratch, Value* out, Value* row_stride);
  Value* RowBlocks(Value* row_vectors);
  void PackRight(const Indices& depths, Value* depth_begin, Value* depth, Value* block, Value* panel);
  void PackLeft(const Indices& outer, const Indices& depths, Value* row, Value* count, Value* depth_begin, Value* depth,
                Value* left_block);
  void EmitScatter();
  friend class RecurrenceEmitter;
  void EmitRecurrence();

  // Lane programs.
  Row BeginRow(const Indices& indices);
  using SumLoader = std::function<Value*(LaneBuilder&, const LaneInstruction&)>;
  Lane RunInstruction(LaneBuilder& lanes, const Row& row, Value* unit, int valid, const SumLoader& sum, size_t i,
                      const std::vector<Lane>& values);
  Lane LoadIndices(LaneBuilder& lanes, const View& view, Value* pointer, Value* unit, int valid);
  std::vector<Lane> RunProgram(LaneBuilder& lanes, const Row& row, Value* unit, int valid, const SumLoader& sum);
  void RunStores(LaneBuilder& lanes, const Row& row, Value* unit, int valid, const std::vector<Lane>& values);

  Value* At(const View& view, const Indices& indices);
  // Elements from step 0 of a Recurrence to the step at `time_`; null for a view that does not move.
  Value* StepOffset(const View& view);
  llvm::Type* ElementOf(const View& view) const { return frame_->ElementOf(view); }
  Storage StorageOf(const View& view) const { return frame_->layout().entry.buffers[view.buffer].storage; }
  // The real at `pointer`, which is one of the view's.
  Value* LoadScalar(const View& view, Value* pointer);
  Value* StrideOf(const View& view) { return frame_->SizeValue(view.axes.back().stride); }
  Range Split(Value* count, Value* parts, Value* part);
  Value* Minimum(Value* a, Value* b) { return builder_.CreateSelect(builder_.CreateICmpSLT(a, b), a, b); }
  // The indices of a row or reduced axis that this call walks: all of them, those of a chunk of steps, or
  // those of the rows of the batch that the thread computes.
  Range RowRange(size_t axis);
  Range ReducedRange(size_t axis);
  Range WalkedRange(const std::vector<Size>& extents, size_t axis, bool is_chunked);
  Range SplitAmongThreads(Range range);
  // The same for the axis that threads split, once or once for every step.
  void EmitOwnRows(size_t axis, const std::function<void(Range)>& body);
  Value* HasOwnRows();
  Value* Threads();
  Value* Thread();
  // Whether nothing has been summed into the results yet; null when that is so at every call.
  Value* IsFirstChunk();
  // Loops over ranges, appending their indices.
  void EmitNest(const std::vector<Range>& ranges, Indices& indices, const std::function<void()>& body);
  void EmitRowNest(Indices& indices, const std::function<void()>& body);  // all row axes but the last
  llvm::ConstantInt* Word(int64_t value) const { return emit_.types.Word(value); }
  Value* Scratch(int64_t elements);
  void CallBarrier();
  int Units() const { return static_cast<int>(kernel_.units.extent); }

  EmitModule& emit_;
  const Kernel& kernel_;
  llvm::IRBuilder<> builder_;
  std::map<const View*, Value*> bases_;
  llvm::Function* function_ = nullptr;
  llvm::BasicBlock* entry_ = nullptr;
  std::optional<FrameReader> frame_;
  // Of a Reduce: the terms that are being summed, if not all at once.
  struct Terms {
    Range range;
    Value* are_first;
  };
  std::optional<Terms> terms_;
  StoredVectors* stored_ = nullptr;  // if this is a piece of one row
  Value* time_ = nullptr;            // of a Recurrence: the step that addresses are for
  Value* turn_ = nullptr;            // a number that is odd at every other call: the index of the time loop around it
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_EMIT_KERNEL_H_
