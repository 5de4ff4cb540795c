// runtime/session.h: running a program: tensors by name, and one call per entry.
//
// A Session owns a buffer for every tensor of the entries `forward`, `inference`, `backward` and `evaluate`; a name is
// one tensor in all of them. Tape, packed weights and workspace come along, aligned, and grow when the sizes do.
//
//   recurve::Session session(program);
//   session.SetExtent("T", 100); session.SetExtent("B", 32);
//   session.Initialize(/*seed=*/1);
//   std::ranges::copy(data, session.Tensor<float>("x")->begin());     // [T, B, I]
//   if (auto done = session.Forward(); !done) fmt::print("{}\n", done.error().message);
//   session.Fill("y_adj", 1);                                         // dL/dy
//   session.Backward();
//   std::span<float> gradient = *session.Tensor<float>("W_adj");      // dL/dW
//
// A Stream runs the entry `step`: one time step a call, the state staying in its own tensors. Several streams may share
// one set of parameters, each in its own thread.
//
//   recurve::Stream stream(session.shared_parameters(), /*batch=*/1);
//   (*stream.Tensor<float>("x"))[0] = sample;
//   stream.Step();                                                    // no allocation, no lock after the first call
//
// Every failure a caller can cause is an Error: an unknown name, another element type, a span of the wrong length, an
// index outside [0, classes), a backward pass without its forward pass. A Session or Stream belongs to one thread at a
// time. Spans stay good until an extent changes.

#ifndef RECURVE_RUNTIME_SESSION_H_
#define RECURVE_RUNTIME_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/aligned_memory.h"
#include "runtime/parameters.h"
#include "runtime/program.h"
#include "runtime/team.h"

namespace recurve {

// The tensors of some of a program's entries, and the sizes that give them their shape: what Session and Stream share.
class Frame {
 public:
  const Program& program() const { return parameters_->program(); }
  Parameters& parameters() { return *parameters_; }
  const std::shared_ptr<Parameters>& shared_parameters() const { return parameters_; }

  // The threads that run entries together; null (the default) is the caller's thread alone. Same bits either way.
  void UseTeam(std::shared_ptr<Team> team) {
    UseThreads(team == nullptr ? nullptr : &team->lent());
    team_ = std::move(team);
  }
  // Those of somebody else, who keeps them as long as the frame uses them.
  void UseThreads(const recurve_team* threads) {
    if (threads == threads_) return;
    threads_ = threads;
    Invalidate();
  }

  // The buffer of a tensor (not of a parameter), row-major. Asking for an adjoint makes it part of the backward pass;
  // one that was never asked for is zero there at no cost.
  template <typename T>
  std::expected<std::span<T>, Error> Tensor(std::string_view name) {
    auto found = Values(name, kElementTypeOf<T>);
    if (!found) return std::unexpected(std::move(found.error()));
    return std::span<T>(static_cast<T*>(found->data), found->count);
  }
  // Sets every element of a real tensor, whatever the program's precision.
  std::expected<void, Error> Fill(std::string_view name, double value);
  // The elements as doubles, and back, whatever the program's precision. An index must be a whole number.
  std::expected<std::vector<double>, Error> Get(std::string_view name);
  std::expected<void, Error> Set(std::string_view name, std::span<const double> values);
  // Copies a tensor to another of the same shape and type, e.g. a final state to the initial one.
  std::expected<void, Error> Copy(std::string_view from, std::string_view to);

  // Uses the caller's memory instead of an own buffer until an extent changes or an empty span is given. The caller
  // keeps it alive and, for inputs, unchanged while an entry runs; only outputs and step's states are written.
  template <typename T>
  std::expected<void, Error> Bind(std::string_view name, std::span<T> memory) {
    return BindMemory(name, kElementTypeOf<std::remove_const_t<T>>, std::is_const_v<T>,
                      const_cast<std::remove_const_t<T>*>(memory.data()), memory.size());
  }
  // An output that is not wanted is not computed where that saves work. All are wanted at first.
  std::expected<void, Error> Want(std::string_view name, bool wanted);

  // Whether some entry of this frame has such a tensor; its slot.
  const recurve_slot* FindTensor(std::string_view name) const;
  // The tensors' slots, in order of first appearance.
  std::vector<const recurve_slot*> tensors() const;

 protected:
  Frame(std::shared_ptr<Parameters> parameters, std::span<const std::string_view> entries);
  ~Frame() = default;
  Frame(Frame&&) = default;
  Frame& operator=(Frame&&) = default;

  struct Memory {
    void* data = nullptr;
    size_t count = 0;
  };
  struct TensorState {
    const recurve_slot* slot = nullptr;
    AlignedMemory buffer;
    void* bound = nullptr;  // the caller's memory
    bool bound_const = false;
    bool is_written = false;  // some entry writes it
    bool wanted = true;       // outputs: pass it on; adjoints: someone gave it a value
  };
  struct Call {
    const recurve_entry* entry = nullptr;
    std::string_view name;          // the entry's
    std::vector<size_t> indices;    // slots of integers that are checked before a run
    std::vector<int> tensors;       // per slot: which tensor, or -1
    std::vector<uintptr_t> values;  // per slot: what the entry reads
    bool is_ready = false;          // values are up to date
  };

  std::expected<Memory, Error> Values(std::string_view name, ElementType type);
  std::expected<void, Error> BindMemory(std::string_view name, ElementType type, bool is_const, void* data,
                                        size_t count);
  std::expected<size_t, Error> Count(const recurve_slot& slot) const;
  std::expected<void, Error> Prepare(Call& call);
  std::expected<void, Error> CheckIndices(const Call& call) const;
  std::expected<void, Error> Run(std::string_view entry);
  std::expected<void, Error> Run(Call& call);
  Call* FindCall(std::string_view entry);  // null if there is no such entry; valid as long as the frame, moved or not
  std::expected<void, Error> ResizeAxis(std::string_view axis, size_t size);
  int IndexOf(std::string_view name) const;
  void Invalidate();

  std::shared_ptr<Parameters> parameters_;
  std::shared_ptr<Team> team_;
  const recurve_team* threads_ = nullptr;
  std::vector<size_t> extents_;  // beside program().axes()
  std::vector<TensorState> tensors_;
  std::vector<Call> calls_;
  AlignedMemory tape_;
  AlignedMemory workspace_;
};

class Session : public Frame {
 public:
  explicit Session(Program program) : Session(std::make_shared<Parameters>(std::move(program))) {}
  explicit Session(std::shared_ptr<Parameters> parameters);

  // Every axis is 1 until it is set. Tensors whose shape has the axis become zero, and memory bound to them is let go.
  std::expected<void, Error> SetExtent(std::string_view axis, size_t size);
  size_t Extent(std::string_view axis) const;  // 0 for an axis the program does not have

  // Short forms for the parameters' own functions.
  std::expected<void, Error> Initialize(uint64_t seed) { return parameters_->Initialize(seed); }
  template <typename T>
  std::expected<std::span<T>, Error> Parameter(std::string_view name) {
    return parameters_->Write<T>(name);
  }

  // Forward computes the outputs and keeps what Backward needs; Inference keeps nothing. Backward belongs to the last
  // Forward and overwrites the gradients.
  std::expected<void, Error> Forward();
  std::expected<void, Error> Inference();
  // All outputs, the loss too, as they are once the program is trained: without dropout.
  std::expected<void, Error> Evaluate();
  std::expected<void, Error> Backward();

 private:
  bool has_tape_ = false;
};

class Stream : public Frame {
 public:
  explicit Stream(Program program, size_t batch = 1)
      : Stream(std::make_shared<Parameters>(std::move(program)), batch) {}
  explicit Stream(std::shared_ptr<Parameters> parameters, size_t batch = 1);

  // Every axis but the batch is 1 until it is set; tensors whose shape has it become zero.
  std::expected<void, Error> SetExtent(std::string_view axis, size_t size);

  // For a program that reads one sequence before it goes through another in steps: the states that these begin with,
  // and what they look at.
  std::expected<void, Error> Encode();
  // One time step: reads the inputs and the states, writes the outputs and the states. Fails if the program was
  // compiled without a `step` entry.
  std::expected<void, Error> Step();
  // The beginning of another sequence: all states as their cells say, zero unless they do. The first step begins so by
  // itself where a cell says something; states that a caller sets before it are then to be set after a reset.
  std::expected<void, Error> Reset();

 private:
  Call* step_;  // found once: a step may take as long as a comparison of names
  bool has_begun_ = false;
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_SESSION_H_
