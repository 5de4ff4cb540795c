// runtime/parameters.h: the values of a program's parameters, and their packed form.
//
// Kernels read parameters in an order of their own, which the program's `pack` entry writes. Parameters remembers
// whether the packed form is up to date and packs again when it is not, so a caller never thinks about it.
//
//   auto parameters = std::make_shared<recurve::Parameters>(program);
//   parameters->Initialize(seed);
//   recurve::Session training(parameters);   // sessions and streams may share them
//
// Several threads may read the same Parameters and run with them, as long as nobody changes a value meanwhile.

#ifndef RECURVE_RUNTIME_PARAMETERS_H_
#define RECURVE_RUNTIME_PARAMETERS_H_

#include <atomic>
#include <cstdint>
#include <expected>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/aligned_memory.h"
#include "runtime/program.h"
#include "runtime/team.h"

namespace recurve {

class Parameters {
 public:
  // All values are zero at first.
  explicit Parameters(Program program);

  const Program& program() const { return program_; }

  // Draws every value from its parameter's distribution. The same seed gives the same bits on every machine, and a
  // parameter's values depend on its name but not on what other parameters there are.
  std::expected<void, Error> Initialize(uint64_t seed);

  // The values of a parameter, row-major. Taking them for writing marks them as changed; who keeps the span and writes
  // again after a run says so with MarkChanged. Fails on a name that is no parameter and on another element type.
  template <typename T>
  std::expected<std::span<T>, Error> Write(std::string_view name) {
    return Typed<T>(Values(name, kElementTypeOf<T>, /*changes=*/true));
  }
  template <typename T>
  std::expected<std::span<const T>, Error> Read(std::string_view name) const {
    return Typed<const T>(const_cast<Parameters*>(this)->Values(name, kElementTypeOf<T>, /*changes=*/false));
  }
  void MarkChanged() { is_packed_.store(false, std::memory_order_release); }

  // Brings the packed form up to date; nothing happens when it is. Sessions call it before every run, with their team.
  std::expected<void, Error> Pack(const recurve_team* team = nullptr);
  bool is_packed() const { return is_packed_.load(std::memory_order_acquire); }

  // For Frame: where a parameter's values and the packed form lie. Neither moves during the object's life.
  std::expected<void*, Error> Address(std::string_view name) const;
  void* packed() const { return packed_.data(); }

 private:
  struct Bytes {
    std::byte* data = nullptr;
    size_t count = 0;  // elements
  };
  template <typename T>
  static std::expected<std::span<T>, Error> Typed(std::expected<Bytes, Error> bytes) {
    if (!bytes) return std::unexpected(std::move(bytes.error()));
    return std::span<T>(reinterpret_cast<T*>(bytes->data), bytes->count);
  }
  std::expected<Bytes, Error> Values(std::string_view name, ElementType type, bool changes);

  Program program_;
  std::vector<AlignedMemory> values_;  // beside program_.parameters()
  AlignedMemory packed_;
  AlignedMemory workspace_;
  std::atomic<bool> is_packed_ = false;
  std::mutex packing_;
  bool has_memory_ = true;
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_PARAMETERS_H_
