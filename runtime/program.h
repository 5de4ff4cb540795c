// runtime/program.h: a compiled program, wherever its code came from.
//
// A Program is a checked, immutable view of a `recurve_program` (abi.h): what it is called, which entries it has, and
// the tensors of each. Copies share one thing that keeps the code alive: a JIT, a loaded library, or nothing for an
// object that was linked in. All of it may be used by any number of threads at once.
//
//   extern "C" const recurve_program lstm_program;                    // from lstm.o
//   auto program = recurve::Program::Wrap(&lstm_program);             // std::expected<Program, Error>
//   auto loaded = recurve::Program::Load("./liblstm.so", "lstm");     // the same, from a shared library
//
// Calling an entry takes buffers: see session.h.

#ifndef RECURVE_RUNTIME_PROGRAM_H_
#define RECURVE_RUNTIME_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/abi.h"
#include "runtime/error.h"

namespace recurve {

// What the elements of a tensor are.
enum class ElementType : uint8_t { kF32, kF64, kI32 };
std::string_view Name(ElementType type);  // "f32", "f64", "i32"
inline size_t ElementBytes(ElementType type) { return type == ElementType::kF64 ? 8 : 4; }

// The element type that a C++ type holds.
template <typename T>
inline constexpr ElementType kElementTypeOf = [] {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, int32_t>);
  return std::is_same_v<T, float>    ? ElementType::kF32
         : std::is_same_v<T, double> ? ElementType::kF64
                                     : ElementType::kI32;
}();

// True for the slots that are tensors a person knows by name; false for sizes, scratch and the team.
bool IsTensor(const recurve_slot& slot);

// The number of elements of a slot for these sizes of the program's axes, or nothing if it exceeds what memory holds.
std::optional<size_t> ElementCount(const recurve_slot& slot, std::span<const size_t> extents);

class Program {
 public:
  // Wraps a descriptor that outlives `keep_alive`'s last copy. Fails if the descriptor is of another ABI version or
  // contradicts itself: one name with two shapes within an entry family, an axis that does not exist.
  static std::expected<Program, Error> Wrap(const recurve_program* program,
                                            std::shared_ptr<const void> keep_alive = nullptr);
  // Opens a shared library and wraps its `NAME_program`.
  static std::expected<Program, Error> Load(const std::string& library, std::string_view name);

  std::string_view name() const { return descriptor().name; }
  std::string_view target() const { return descriptor().target; }
  ElementType element() const { return descriptor().element_bytes == 8 ? ElementType::kF64 : ElementType::kF32; }
  ElementType ElementOf(const recurve_slot& slot) const { return slot.is_index ? ElementType::kI32 : element(); }

  // The names of the sizes that are given with a call, e.g. "T", "B".
  std::span<const char* const> axes() const;
  std::optional<size_t> FindAxis(std::string_view name) const;

  std::span<const recurve_entry> entries() const;
  // The entry of that name ("forward", "inference", "backward", "step", "evaluate", "pack"), or null.
  const recurve_entry* FindEntry(std::string_view name) const;
  // The slot of that name in an entry, or null.
  static const recurve_slot* FindSlot(const recurve_entry& entry, std::string_view name);

  // Every parameter and constant of any entry, once, in order of first appearance. Their shapes have no symbolic axis.
  std::span<const recurve_slot* const> parameters() const;
  const recurve_slot* FindParameter(std::string_view name) const;

  // "[4, T, 8]": a slot's shape, for messages.
  std::string ShapeText(const recurve_slot& slot) const;

  const recurve_program& descriptor() const;

 private:
  struct Contents;
  explicit Program(std::shared_ptr<const Contents> contents) : contents_(std::move(contents)) {}
  std::shared_ptr<const Contents> contents_;
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_PROGRAM_H_
