// compiler/plan.h: what the generated code will do, as data.
//
// The plan decides fusion groups, tile shapes, packings, buffers, phases and barriers; `--stage=plan` prints it and the
// emitter executes it literally. One plan holds every entry of a program.
//
// A value lives in a buffer and is read through a view: an offset (which may move with the loops around it) and a
// stride for each axis. Slices, transposes, broadcasts and reshapes are views and cost nothing. All other work is done
// by kernels, which run in phases: a phase ends where somebody needs a whole row of what it produces, and a barrier
// stands between phases. A kernel walks rows (all axes but the last) and units (the last axis, the vector lanes):
//
//   Map       products, then a lane program on their sums and on loaded values; stores what it computes
//   Reduce    a lane program whose result is summed (or maximised) over axes
//   Product   a sum of products that no parameter packing serves (weight gradients): both sides packed as it runs
//   Scatter   rows added into a table by index
//   Recurrence  a Map and the time loop around it, its states in registers (plan_recurrence.h)
//
// A Map's products multiply activations by weights that `pack` has rearranged: panels of [K][columns][lanes] in which
// the weights of several column groups (the gates of the same units) stand together, so that one register tile holds
// all gates of its units and the lane program never leaves the first cache level.

#ifndef RECURVE_COMPILER_PLAN_H_
#define RECURVE_COMPILER_PLAN_H_

#include <bit>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "compiler/interface.h"
#include "compiler/target.h"
#include "ir/graph.h"

namespace recurve {

// A number of elements: a constant times symbolic axes, e.g. 4 * T * B.
struct Size {
  int64_t factor = 1;
  std::vector<std::string> axes;  // sorted

  bool operator==(const Size&) const = default;
};
Size operator*(const Size& a, const Size& b);
Size SizeOf(const ir::Dim& dim);
Size SizeOf(const ir::Shape& shape);

// A sum of sizes of different axes, e.g. 512*B*T + 96 (cost.cpp).
struct Amount {
  std::vector<Size> terms;

  void Add(const Size& size);
  void Add(const Amount& other);
  double At(const std::function<double(const std::string&)>& axis) const;
  std::string Text() const;  // "512*B*T + 96"
  bool operator==(const Amount&) const = default;
};
Amount operator*(const Amount& amount, const Size& times);

// When a team pays: where the others take more cycles off the first member than `overhead_cycles`, which is what
// waiting for each other costs. Of `count` members the others take shared_cycles * (count - 1) / count.
struct TeamRule {
  Amount shared_cycles, overhead_cycles;
};

// How a team runs a time loop of an entry that it does not share by rows: by units where `units` pays (members share
// every kernel and meet after each phase of each step), else the first member runs all steps; the others wait, or leave
// for good where `rest` does not pay.
struct LoopTeam {
  TeamRule units;  // of one step
  TeamRule rest;   // of what the entry does after the loop
};

// How a team shares an entry. By rows where that is possible and every member has `rows_each` rows of the batch at
// least: it takes its rows through all steps without a barrier. Else by units or rows of each kernel, phase by phase.
// Where that does not pay, the first member does everything.
struct EntryTeam {
  int64_t rows_each = 0;  // 0: never by rows, and `why` says why
  std::string why;
  TeamRule rows;   // of the entry by rows
  TeamRule units;  // otherwise, without its loops: what each loop gains comes on top
};

enum class Place : uint8_t { kSlot, kPacked, kTape, kWorkspace, kConstant };

struct Buffer {
  std::string name;
  Place place = Place::kWorkspace;
  int slot = -1;          // kSlot: index into the entry's slots
  bool is_index = false;  // int32 elements
  bool zero_if_null = false;
  bool spare_if_null = false;        // a null slot is replaced by workspace of the same size
  int64_t packed_offset_bytes = 0;   // kPacked: from the start of the packed buffer
  int tape_region = -1;              // kTape: index into Plan::tape
  int constant = -1;                 // kConstant: index into Plan::constants
  Storage storage = Storage::kSame;  // of its elements; in 16 bits only on the tape
  Size size;                         // elements
  Size guard{0, {}};  // elements reserved before and after: one time step of a stacked value, so that a carry can
                      // live in the same memory shifted by one step

  // Whether it has a place in the workspace, always or in case its slot is null.
  bool needs_workspace() const { return place == Place::kWorkspace || zero_if_null || spare_if_null; }
};

// Regions of workspace and tape begin at multiples of RECURVE_ALIGNMENT and have their guards before and after. Of like
// sizes they would begin at like places of their pages, and the same element of each would fall on the same few lines
// of the first-level cache. So many bytes (an odd number of lines, so that they soon cover a page) follow each region.
inline constexpr int64_t kRegionGapBytes = int64_t{5} * RECURVE_ALIGNMENT;

// `index` times `stride`, where index is loop * 1 + shift; loop -1 is the constant `shift`. A ring keeps index mod 2.
struct OffsetTerm {
  Size stride;
  int loop = -1;
  int64_t shift = 0;
  bool ring = false;
  std::string shift_axis;  // adds the size of this axis to the index: the slot after the last step

  bool operator==(const OffsetTerm&) const = default;
};

struct ViewAxis {
  ir::Dim extent;
  Size stride;
  bool operator==(const ViewAxis&) const = default;
};

struct View {
  int buffer = -1;
  std::vector<OffsetTerm> offset;
  std::vector<ViewAxis> axes;  // those of the value's shape
  bool operator==(const View&) const = default;
};

// One instruction of a lane program; its result is named by its index.
struct LaneInstruction {
  enum class Kind : uint8_t {
    kConstant,     // `value`
    kLoad,         // `view` at the kernel's indices
    kSum,          // the sum of column group `group` of product `product`
    kElementwise,  // `op` on `args`; kRandom too
    kGather,       // row `index view` of table `view` (the table's first axis is the indexed one)
    kOneHot,       // 1 where unit + `offset` equals the index read through `index`
    kUnitIndex,    // unit + `offset` as a real
    kRowIndex,     // the row, of which there is one axis, as a real
    kIndex,        // the index read through `index` as a real
    kExtent,       // the size of `axis` as a real
  } kind = Kind::kConstant;
  ir::Op op = ir::Op::kAdd;
  std::vector<int> args;
  double value = 0;
  View view;        // axes: the kernel's rows, reduced axes and units, stride 0 where the value does not vary;
                    // kGather: the table without its first axis
  View index;       // likewise, for kGather, kOneHot and kIndex
  Size row_stride;  // kGather: elements between rows of the table
  int64_t offset = 0;
  int product = 0, group = 0;
  std::string axis;
  std::string label;

  bool operator==(const LaneInstruction&) const = default;
};

struct LaneStore {
  int value = 0;        // instruction
  View view;            // axes: the kernel's rows, then its units unless they are reduced
  bool to_far = false;  // whole vectors; on a far tape (FarTapeBytes) they go around the caches
};

// One column group of a panel set: some units of one weight.
struct PanelGroup {
  std::string source_name;  // the parameter or packed value
  View source;              // axes {depth, units}; `buffer` is that of the entry it was planned in, then that of `pack`
};

// How the numbers of a panel stand in memory. `pairs`, for bf16: columns 2i and 2i + 1 of a chunk share 32-bit words,
// the first in the lower halves, so that one load, a shift and a mask yield two vectors of f32 where widening them one
// by one takes twice as many operations. A last column without a partner stands alone.
struct PanelFormat {
  Storage storage = Storage::kSame;
  bool pairs = false;

  bool IsPaired(int column, int columns) const { return pairs && (column | 1) < columns; }
  auto operator<=>(const PanelFormat&) const = default;
};

// The rest of the units that fills no vector is computed in a vector of the next power of two: odd widths are legal,
// but LLVM takes them apart.
inline int WidthOf(int valid) { return static_cast<int>(std::bit_ceil(static_cast<unsigned>(valid))); }

// How the columns (vectors) of a block of units stand: `vectors` whole vectors of units of the first group, of the
// second and so on; then the `tail` units that are left, of as many groups side by side as a vector holds, each in the
// next power of two of lanes.
struct BlockColumns {
  int vectors = 1;
  int tail = 0;
  std::vector<int> chunks;  // columns of each register tile

  int count() const;  // of columns
  bool operator==(const BlockColumns&) const = default;
};

// A panel set: weights of several column groups, rearranged by `pack`.
//   layout: for each block of units, for each chunk of columns: [depth][chunk columns][lanes], zero-padded
struct Panels {
  std::vector<PanelGroup> groups;
  int64_t units = 0;  // of a group
  int64_t depth = 0;  // terms of the sum
  int lanes = 1;
  BlockColumns block;                // of every block, but for
  std::optional<BlockColumns> rest;  // the last one, if it has fewer columns
  PanelFormat format;
  int64_t offset_bytes = 0;  // from the start of the packed buffer

  int64_t block_units() const { return int64_t{lanes} * block.vectors; }
  int64_t blocks() const { return (units + block_units() - 1) / block_units(); }
  int64_t block_elements() const { return depth * block.count() * lanes; }
  const BlockColumns& last() const { return rest ? *rest : block; }
  // The first lane of vector `vector` of a group, counted through all columns; with vector = vectors of its tail.
  int64_t LaneOf(const BlockColumns& columns, int group, int vector) const;
  int64_t elements() const;              // of all blocks
  std::vector<int> TileColumns() const;  // of the register tiles of any block
  // The same weights in the same order; `buffer` of the sources aside.
  bool SameLayout(const Panels& other) const;
};

// A product inside a Map kernel: rows of activations by one panel set.
struct MapProduct {
  View left;        // one axis per row axis, then the summed axis last
  int panels = -1;  // index into Plan::panels
  std::string label;
};

enum class KernelKind : uint8_t { kMap, kReduce, kProduct, kScatter, kRecurrence };
enum class ReduceKind : uint8_t { kSum, kMax };

// The time loop of a Recurrence.
struct Recurrence {
  // The instruction `load` of a step yields what the store `store` of the step before left.
  struct Carried {
    int load = 0;
    int store = 0;
  };
  // Where every next state is factor * state + rest, and neither depends on a state: so many steps at a time. Products
  // of factors and local sums come first, and then every state of them is one multiply-add away from the last.
  struct LookAhead {
    int steps = 1;                         // 1: one after the other
    std::vector<LaneInstruction> program;  // continues the kernel's program, up to the factors
    std::vector<int> factors;              // per carried value; empty: not linear
  };
  int loop = -1;  // as OffsetTerm::loop names it
  ir::Dim time = 1;
  bool reverse = false;
  int chunk = -1;  // the number of the chunk loop around it
  std::vector<Carried> carried;
  std::vector<int> kept;   // loads that are the same at every step, made once before the first
  int rows = 1;            // side by side, where the vectors of one are too few
  int fold = 1;            // rows that share a vector of the units that fill none
  int latency_cycles = 0;  // about: from a state to the next, and of work in a step of a vector
  int work_cycles = 0;
  LookAhead look_ahead;  // where the batch has too few rows to run side by side
};

struct Kernel {
  KernelKind kind = KernelKind::kMap;
  std::string label;       // for people: what it computes
  std::vector<Size> rows;  // outer axes, in order; axes that every view walks as one are one
  ir::Dim units = 1;       // the vectorized axis
  // kReduce: axes summed over besides the rows (and, when `reduce_units`, the units).
  std::vector<Size> reduced;
  bool reduce_units = false;
  ReduceKind reduce = ReduceKind::kSum;
  std::vector<MapProduct> products;
  std::vector<LaneInstruction> program;
  std::vector<LaneStore> stores;  // kReduce: of the values that are reduced
  // kProduct: out[rows.., n] = sum over k of left[rows.., k..] * right[k.., n]. reduced = {k..}, units = n.
  View left;   // axes: rows, then reduced
  View right;  // axes: reduced, then units
  View out;    // axes: rows, then units
  // kScatter: row left[rows] (axes: rows) of `out` receives right[rows, units]; `out` has stride 0 on the axes of the
  // index and `table` is its indexed axis.
  ViewAxis table;
  // Tiling: a block is `vectors` vectors of units (the last one may be cut short) by `block_rows` rows.
  int lanes = 1;  // units in a vector
  int vectors = 1;
  std::vector<int> chunks;  // kProduct: columns of each register tile
  int tile_rows = 1;        // largest number of rows of a register tile
  int block_rows = 1;       // rows whose sums are held between products and lane program; kReduce over one axis: terms
                            // that are added in all units before the next ones
  bool alternates = false;  // products read the blocks of their weights backwards in every other step
  bool alternates_terms = false;  // and the terms of each block, whatever the number of rows
  bool prefetches = false;        // fetches the weights of the next units, which no near cache holds
  bool accumulates = false;       // kProduct: tiles add to results of whole blocks themselves, and not through memory
  bool stores_sums = false;       // kMap: tiles store results of whole blocks themselves, and not through memory
  int side_by_side = 1;           // blocks of units of a batch of one
  bool has_one_row_form = false;  // for a batch of one also as a function of its own, its sums in registers
  int64_t depth = 0;              // terms of the sum between two visits of the result; 0: all
  int panel_buffer = -1;          // kProduct: where the right side is packed, depth terms at a time
  // In a chunk loop: the loop's number; its steps walk the first of `rows`, or of `reduced` where `sums_steps`, with
  // `step_rows` indices each. What several chunks sum is added up in the result.
  int chunk = -1;
  bool sums_steps = false;
  Size step_rows;
  Recurrence recurrence;     // kRecurrence; `vectors` are run side by side
  bool in_row_loop = false;  // walks the rows that a row loop is at
  int batch_axis = -1;       // in a loop that a team may share by rows: which of `rows` is the batch
};

// Of a sum that has a single row members of a team share the units.
bool IsSharedByUnits(const Kernel& kernel);
// Whether it adds up, or finds the largest of, the units of each row.
bool ReducesUnitsOfRows(const Kernel& kernel);

struct Statement;

// for time = 0 .. T-1 (reverse: T-1 .. 0); in a chunk loop the steps of the chunk
struct TimeLoop {
  int loop = 0;  // its number, as OffsetTerm::loop names it
  ir::Dim time;
  bool reverse = false;
  int chunk = -1;                                                          // the number of the chunk loop around it
  enum class Steps : uint8_t { kAll, kFirst, kLast } steps = Steps::kAll;  // of the chunk, in the loop's direction
  // A Recurrence that does the same, and is run in the place of the loop where a step has at most so many rows; or -1.
  int recurrence = -1;
  int64_t most_rows = 0;
  std::vector<Statement> body;
  std::optional<LoopTeam> team;  // of an outermost loop
};

// A scan and its neighbours that are parallel in time, a few steps at a time (plan_chunk.h).
struct ChunkLoop {
  int chunk = 0;            // index into EntryPlan::chunks
  bool against = false;     // in the other direction than these say
  bool only_first = false;  // the first chunk alone, in the loop's direction
  std::vector<Statement> body;
};

// Kernels one after the other on `block_rows` rows at a time, without barriers; threads share the rows (plan_rows.h).
struct RowLoop {
  std::vector<int> kernels;  // indices into EntryPlan::kernels
  Size rows;                 // all rows; in a chunk loop those of its steps
  int chunk = -1;            // the chunk loop that cuts them, and rows of a step
  Size step_rows;
  int64_t block_rows = 1;
};

struct KernelCall {
  int kernel = 0;  // index into EntryPlan::kernels
};

struct Barrier {};

struct Statement {
  std::variant<KernelCall, RowLoop, TimeLoop, ChunkLoop, Barrier> kind;
};

// Most steps at a time of a linear recurrence; a power of two.
inline constexpr int kMostStepsAtATime = 4;

// How a chunk loop cuts time: as many steps as make `rows` rows of `step_rows` a step, at least one, `multiple` times.
// From kMostStepsAtATime on they are rounded down to a multiple of that, so that a linear recurrence takes the same
// steps at a time whatever chunks it runs in. Numbers `multiple` are powers of two, so that a chunk of more steps holds
// whole chunks of fewer.
struct Chunks {
  std::string axis;  // the name by which a Size mentions the steps of a chunk
  std::string time;  // the axis that is cut
  bool reverse = false;
  int64_t rows = 1;
  int64_t multiple = 1;
  Size step_rows;
  int outer = -1;                // the chunk loop around it, of whose steps these are chunks
  std::vector<int> rings;        // buffers that hold one chunk at a time
  std::string count;             // the name by which a Size mentions the number of chunks that `outer` has, if any does
  std::vector<int> checkpoints;  // buffers that hold one value for each chunk
};
// The axis whose steps one of `all` cuts: time, or the chunk around it.
inline const std::string& AxisCutBy(const Chunks& chunks, const std::vector<Chunks>& all) {
  return chunks.outer < 0 ? chunks.time : all[chunks.outer].axis;
}

struct EntryPlan {
  std::string name;
  std::vector<Slot> slots;
  std::vector<Buffer> buffers;
  std::vector<Kernel> kernels;
  std::vector<Statement> statements;
  std::vector<Chunks> chunks;
  EntryTeam team;
  bool has_one_row_code = false;  // for a batch of one without a team also as one function, its sums in registers
  int turn_buffer = -1;           // one index that counts the calls of this code, if the order of weights changes
  bool packs_panels = false;      // `pack`: writes every panel set after its statements
};

// Read-only data of the program itself: a parameter whose value is known, or all packed weights (bake.h).
struct Constant {
  std::string name;
  std::string bytes;  // as the target has them in memory
};

// Where value N of the tape is: in a region of its own; or, if it is the carry before a step of what another region
// holds after it, in that one, `shift` steps on.
struct TapeValue {
  int region = 0;  // index into Plan::tape
  int64_t shift = 0;
};

struct Plan {
  std::string name;
  Precision precision = Precision::kF32;
  Storage store = Storage::kSame;  // of panels and tape
  MathAccuracy math = MathAccuracy::kAccurate;
  TargetFacts machine;
  PlanChoices choices;
  std::vector<std::string> axes;
  std::vector<Panels> panels;
  int64_t packed_bytes = 0;
  std::vector<Buffer> tape;              // regions in order
  std::map<int, TapeValue> tape_values;  // by number
  std::vector<Chunks> segments;          // of each time axis, whose names sizes on the tape mention (plan_segment.h)
  std::string refused;                   // why backward can't run in segments, if it should: the plan is then of no use
  std::vector<EntryPlan> entries;
  std::vector<Constant> constants;
  int packed_constant = -1;  // the packed weights, if they are one

  // The index of such a panel set, which is added unless the plan has it already.
  int AddPanels(Panels wanted);
  int BytesOf(const Buffer& buffer) const {  // of an element
    return buffer.is_index ? 4 : StoredBytes(buffer.storage, precision);
  }
};

// One entry to plan.
struct EntryGraph {
  std::string name;  // "forward", "inference", "backward", "step", "evaluate", "pack"
  ir::Graph graph;
};

// Plans the entries of one program. `pack` comes last and its outputs are the `packedN` inputs of the others.
//   forward   outputs tapeN go to the tape        backward   inputs tapeN come from it
//   step, update: an output NAMET is written over the input NAME0, which becomes one slot NAME
// `store` other than kSame wants f32. Nothing but `backward` reads what is then rounded on the tape: `forward` keeps
// what it needs itself, the carries above all, in full beside it.
Plan MakePlan(const std::string& name, std::vector<EntryGraph> entries, Precision precision, const TargetFacts& machine,
              const PlanChoices& choices = {}, Storage store = Storage::kSame);

// Text for people: buffers, statements, kernels, tiles, and why.
std::string PrintPlan(const Plan& plan);

// What the planned program looks like from outside; `target` is for people.
ProgramInterface InterfaceOf(const Plan& plan, const std::string& target);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_H_
