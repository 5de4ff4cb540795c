// compiler/storage_error.cpp: two programs, one input.

#include "compiler/storage_error.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "runtime/random.h"
#include "runtime/session.h"

namespace recurve {
namespace {

constexpr size_t kSteps = 64, kBatch = 4;

using Outputs = std::map<std::string, std::vector<double>>;

std::expected<Outputs, Error> OutputsOf(const ir::Graph& graph, Storage store, const WeightFile* weights) {
  auto program = CompileToMemory(graph, {.store = store, .gradients = false});
  if (!program) return std::unexpected(program.error());
  auto parameters = std::make_shared<Parameters>(*std::move(program));
  auto ready = weights != nullptr ? Restore(*parameters, *weights) : parameters->Initialize(1);
  if (!ready) return std::unexpected(ready.error());
  Session session(parameters);
  for (const std::string& axis : ir::SymbolicAxes(graph)) {
    if (auto done = session.SetExtent(axis, axis == "B" ? kBatch : kSteps); !done) return std::unexpected(done.error());
  }
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind != RECURVE_SLOT_INPUT) continue;
    Random random(1, StreamOf(slot->name));
    std::vector<double> values = *session.Get(slot->name);
    for (double& value : values) {
      if (!slot->is_index) value = random.Normal();
      if (slot->is_index)
        value = slot->classes == RECURVE_ANY_INDEX ? kSteps : random.Below(static_cast<uint32_t>(slot->classes));
    }
    if (auto done = session.Set(slot->name, values); !done) return std::unexpected(done.error());
  }
  if (auto done = session.Inference(); !done) return std::unexpected(done.error());
  Outputs outputs;
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind == RECURVE_SLOT_OUTPUT) outputs[slot->name] = *session.Get(slot->name);
  }
  return outputs;
}

}  // namespace

std::expected<std::vector<StorageError>, Error> MeasureStorage(const ir::Graph& graph, const CompileOptions& options,
                                                               const WeightFile* weights) {
  auto exact = OutputsOf(graph, Storage::kSame, weights), stored = OutputsOf(graph, options.store, weights);
  if (!exact) return std::unexpected(exact.error());
  if (!stored) return std::unexpected(stored.error());
  std::vector<StorageError> errors;
  for (const auto& [name, values] : *exact) {
    const std::vector<double>& rounded = stored->at(name);
    double difference = 0, whole = 0, largest = 0, scale = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double error = rounded[i] - values[i];
      difference += error * error;
      whole += values[i] * values[i];
      largest = std::max(largest, std::abs(error));
      scale = std::max(scale, std::abs(values[i]));
    }
    errors.push_back({name, whole > 0 ? std::sqrt(difference / whole) : 0, scale > 0 ? largest / scale : 0});
  }
  return errors;
}

}  // namespace recurve
