// compiler/interface.h: what a compiled program looks like from outside: its entries and the slots of each.
//
// The C++ form of `recurve_program` (runtime/abi.h), decided before any code exists. The plan fills it, the descriptor
// (a constant in the module) and the C header are printed from it, and so are the symbols that tie the three together.

#ifndef RECURVE_COMPILER_INTERFACE_H_
#define RECURVE_COMPILER_INTERFACE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/graph.h"
#include "runtime/abi.h"

namespace recurve {

// How a team shares entries: as the plan's rules say, or one way wherever it is possible, for tests and measurements.
enum class TeamChoice : uint8_t { kByCost, kByRows, kByUnits };

// What a plan may do one way or another without changing what is computed; sums may differ in their last bits.
struct PlanChoices {
  int64_t chunk_rows = 1024;  // most rows (steps times batch) of a chunk of steps
  // Backward computes forward again, a segment of so many of the shortest chunks at a time (plan_segment.h); a power of
  // two. 0: forward stores what backward needs.
  int64_t segment = 0;
  // Within a segment forward is computed once more, for the beginnings of segments of this length; less than `segment`.
  // 0: there is one level.
  int64_t subsegment = 0;
  bool segments_apart = false;    // each scan in segments of its own, which needs the outputs of all stored
  int widest_tile = 4;            // most vectors of a register tile; wider ones leave few rows
  int64_t most_weight_bytes = 0;  // of a kernel's weights, before they are fetched ahead; 0: by the target's caches
  int64_t near_weight_bytes = 0;  // weights of more are read from either end in turn; 0: by the target's caches
  int side_by_side = 0;           // blocks of units that a batch of one walks at a time; 0: by the target's caches
  TeamChoice team = TeamChoice::kByCost;
  bool only_one = false;  // every call is for a batch of one, on one thread: there is no code for anything else
};

// How exact exp, tanh and sigmoid are (compiler/lane_math.h states both). Of f64 there is only the accurate one.
enum class MathAccuracy : uint8_t { kAccurate, kFast };

enum class Precision : uint8_t { kF32, kF64 };
inline int ElementBytes(Precision precision) { return precision == Precision::kF32 ? 4 : 8; }

// How packed weights and the tape are stored: like all else, or in 16 bits beside f32 arithmetic (lane_storage.h).
// Parameters as arguments, biases, states and what a step computes keep the program's precision.
enum class Storage : uint8_t { kSame, kBf16, kF16 };
inline int StoredBytes(Storage storage, Precision precision) {
  return storage == Storage::kSame ? ElementBytes(precision) : 2;
}

struct Slot {
  std::string name;  // as in the graph, e.g. "encoder.W"; C names replace every other character by `_`
  recurve_slot_kind kind = RECURVE_SLOT_INPUT;
  bool is_index = false;
  ir::Shape shape;
  int64_t classes = 0;
  ir::Init init;
};

struct EntryInterface {
  std::string name;  // "forward", ...; the function is NAME_forward, its size NAME_forward_workspace_bytes
  std::vector<Slot> slots;
};

struct ProgramInterface {
  std::string name;
  std::string target;  // triple and cpu, for people
  Precision precision = Precision::kF32;
  Storage store = Storage::kSame;  // of packed weights and tape
  std::vector<std::string> axes;
  size_t packed_bytes = 0;            // as stored; 0 also where the weights are inside
  size_t constant_bytes = 0;          // of weights inside
  bool only_one = false;              // B must be 1 and the team null
  size_t stream_workspace_bytes = 0;  // what `step` wants for a batch of one
  bool has_tape = false;              // NAME_tape_bytes exists
  std::vector<EntryInterface> entries;
  // The model extents that the program was compiled for, e.g. {"H", 8}; constants of the C header.
  std::vector<std::pair<std::string, int64_t>> extents;
};

// The characters of a name that a C identifier may have, `_` for each other byte: "1.forward.W" is "_1_forward_W".
std::string CIdentifier(std::string_view name);

// The parameters that a caller gives, each once; those inside of the program are none.
std::vector<const Slot*> ParametersOf(const ProgramInterface& program);

// The symbols of a program's functions and of its descriptor: NAME_forward, NAME_forward_workspace_bytes,
// NAME_tape_bytes and NAME_program. An object calls the size of the tape NAME_forward_tape_bytes, since the C header
// has a NAME_tape_bytes that takes the sizes one by one.
std::string EntrySymbol(const ProgramInterface& program, const EntryInterface& entry);
std::string WorkspaceSymbol(const ProgramInterface& program, const EntryInterface& entry);
std::string TapeSymbol(const ProgramInterface& program);
std::string ExportedTapeSymbol(const ProgramInterface& program);
std::string DescriptorSymbol(std::string_view program_name);
std::string InfoSymbol(const ProgramInterface& program);  // NAME_info

// Whether an entry of that name overwrites its states: a step of a sequence, or of an optimizer.
inline bool OverwritesStates(std::string_view entry) { return entry == "step" || entry == "update"; }

// True if the entry has a slot for scratch, and therefore a function that tells its size.
bool HasWorkspace(const EntryInterface& entry);

}  // namespace recurve

#endif  // RECURVE_COMPILER_INTERFACE_H_
