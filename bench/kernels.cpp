// bench/kernels.cpp: sessions and streams with random contents, and their tensors as files.

#include "bench/kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <vector>

#include "compiler/compile.h"
#include "runtime/random.h"

namespace recurve::bench {
namespace {

// Values in [-1, 1) that depend on the tensor's name.
void FillRandom(std::span<float> values, std::string_view name) {
  uint32_t state = static_cast<uint32_t>(StreamOf(name));
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) * 0x1p-23f - 1;
  }
}

std::expected<void, Error> WriteFloats(const std::string& path, std::span<const float> values) {
  std::ofstream stream(path, std::ios::binary);
  stream.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
  if (!stream) return std::unexpected(Error{fmt::format("cannot write `{}`", path)});
  return {};
}

std::vector<std::string> EntriesOf(const Point& point) {
  std::vector<std::string> entries;
  for (Pass pass : PassesOf(point)) entries.emplace_back(PassName(pass));
  return entries;
}

// A stream's results are its outputs and its states.
bool IsResult(const recurve_slot& slot, bool is_streaming) {
  return slot.kind == RECURVE_SLOT_OUTPUT || (is_streaming && slot.kind == RECURVE_SLOT_STATE);
}
bool IsData(const recurve_slot& slot) {
  return slot.kind == RECURVE_SLOT_INPUT || slot.kind == RECURVE_SLOT_STATE ||
         (slot.kind == RECURVE_SLOT_ADJOINT && std::string_view(slot.name) == "y_adj");
}

}  // namespace

std::expected<Program, Error> CompilePoint(const Point& point, std::vector<std::string> entries, Precision precision) {
  const bool is_short = IsStoredInBf16(point.cell) && precision == Precision::kF32;
  return CompileFile(
      CellPath(point.cell), CellName(point.cell), {{"I", point.size.inputs}, {"H", point.size.units}},
      {.precision = precision, .store = is_short ? Storage::kBf16 : Storage::kSame, .entries = std::move(entries)});
}

Kernels::Kernels(Point point, Program program, std::shared_ptr<Team> team)
    : point_(std::move(point)), team_(std::move(team)), parameters_(std::make_shared<Parameters>(std::move(program))) {
  if (point_.is_streaming)
    stream_.emplace(parameters_);
  else
    session_.emplace(parameters_);
}

std::expected<std::unique_ptr<Kernels>, Error> Kernels::Make(const Point& point, std::shared_ptr<Team> team) {
  auto program = CompilePoint(point, EntriesOf(point));
  if (!program) return std::unexpected(std::move(program.error()));
  std::unique_ptr<Kernels> kernels(new Kernels(point, std::move(*program), std::move(team)));
  if (auto done = kernels->parameters_->Initialize(1); !done) return std::unexpected(std::move(done.error()));
  if (auto done = kernels->Resize(); !done) return std::unexpected(std::move(done.error()));
  for (const recurve_slot* slot : kernels->frame().tensors()) {
    if (!IsData(*slot)) continue;
    auto values = kernels->frame().Tensor<float>(slot->name);
    if (!values) return std::unexpected(std::move(values.error()));
    FillRandom(*values, slot->name);
  }
  return kernels;
}

std::expected<void, Error> Kernels::Resize() {
  if (!session_) return {};
  if (auto done = session_->SetExtent("T", static_cast<size_t>(point_.size.steps)); !done) return done;
  return session_->SetExtent("B", static_cast<size_t>(point_.size.batch));
}

std::expected<void, Error> Kernels::Run(Pass pass, int threads) {
  if (threads != threads_) frame().UseTeam(threads > 1 ? team_ : nullptr);
  threads_ = threads;
  switch (pass) {
    case Pass::kForward: return session_->Forward();
    case Pass::kBackward: return session_->Backward();
    case Pass::kInference: return session_->Inference();
    case Pass::kStep: return stream_->Step();
  }
  return {};
}

Work Kernels::WorkOf(Pass pass) const {
  double all_weights = 0, input_weights = 0;
  for (const recurve_slot* slot : parameters_->program().parameters()) {
    if (slot->rank != 2) continue;
    const double count = static_cast<double>(slot->dims[0] * slot->dims[1]);
    all_weights += count;
    if (std::string_view(slot->name).starts_with("W")) input_weights += count;
  }
  const double steps = static_cast<double>(point_.size.steps), bytes = IsStoredInBf16(point_.cell) ? 2 : sizeof(float);
  Work work{.operations = 2 * steps * static_cast<double>(point_.size.batch) * all_weights,
            .operations_in_steps = 2 * steps * static_cast<double>(point_.size.batch) * (all_weights - input_weights),
            .steps = steps,
            .bytes_a_step = (all_weights - input_weights) * bytes,
            .bytes_once = input_weights * bytes};
  if (pass == Pass::kBackward) work.operations *= 2;
  return work;
}

std::expected<void, Error> Kernels::WriteData(const std::string& folder) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  for (const recurve_slot* slot : frame().tensors()) {
    if (!IsData(*slot)) continue;
    auto values = frame().Tensor<float>(slot->name);
    if (!values) return std::unexpected(std::move(values.error()));
    if (auto done = WriteFloats(fmt::format("{}/{}.f32", folder, slot->name), *values); !done) return done;
  }
  for (const recurve_slot* slot : parameters_->program().parameters()) {
    auto values = parameters_->Read<float>(slot->name);
    if (!values) return std::unexpected(std::move(values.error()));
    if (auto done = WriteFloats(fmt::format("{}/{}.f32", folder, slot->name), *values); !done) return done;
  }
  return {};
}

std::expected<Kernels::Results, Error> Kernels::MakeReference() const {
  auto program = CompilePoint(point_, EntriesOf(point_), Precision::kF64);
  if (!program) return std::unexpected(std::move(program.error()));
  Kernels exact(point_, std::move(*program), nullptr);
  for (const recurve_slot* slot : parameters_->program().parameters()) {
    auto from = parameters_->Read<float>(slot->name);
    auto to = exact.parameters_->Write<double>(slot->name);
    if (!from || !to) return std::unexpected(from ? std::move(to.error()) : std::move(from.error()));
    std::ranges::copy(*from, to->begin());
  }
  if (auto done = exact.Resize(); !done) return std::unexpected(std::move(done.error()));
  for (const recurve_slot* slot : exact.frame().tensors()) {
    if (!IsData(*slot)) continue;
    auto values = exact.frame().Tensor<double>(slot->name);
    if (!values) return std::unexpected(std::move(values.error()));
    std::vector<float> random(values->size());
    FillRandom(random, slot->name);
    std::ranges::copy(random, values->begin());
  }
  for (Pass pass : PassesOf(point_)) {
    if (auto done = exact.Run(pass, 1); !done) return std::unexpected(std::move(done.error()));
  }
  Results results;
  for (const recurve_slot* slot : exact.frame().tensors()) {
    if (!IsResult(*slot, point_.is_streaming)) continue;
    auto values = exact.frame().Get(slot->name);
    if (!values) return std::unexpected(std::move(values.error()));
    results[slot->name] = std::move(*values);
  }
  return results;
}

std::expected<std::vector<double>, Error> Kernels::Find(const std::string& name, const std::string& folder) {
  if (folder.empty()) return frame().Get(name);
  const std::string path = fmt::format("{}/{}.f32", folder, name);
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  if (!stream) return {};
  std::vector<float> values(static_cast<size_t>(stream.tellg()) / sizeof(float));
  stream.seekg(0);
  stream.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  if (!stream) return std::unexpected(Error{fmt::format("cannot read `{}`", path)});
  return std::vector<double>(values.begin(), values.end());
}

std::expected<Kernels::Difference, Error> Kernels::Compare(const std::string& folder) {
  if (reference_.empty()) {
    auto made = MakeReference();
    if (!made) return std::unexpected(std::move(made.error()));
    reference_ = std::move(*made);
  }
  Difference worst;
  bool is_compared = false;
  for (const auto& [name, exact] : reference_) {
    auto values = Find(name, folder);
    if (!values) return std::unexpected(std::move(values.error()));
    if (values->empty()) continue;
    if (values->size() != exact.size())
      return std::unexpected(
          Error{fmt::format("`{}` has {} elements instead of {}", name, values->size(), exact.size())});
    double difference = 0, largest = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      if (!std::isfinite((*values)[i])) return std::unexpected(Error{fmt::format("`{}` is not finite", name)});
      difference = std::max(difference, std::abs((*values)[i] - exact[i]));
      largest = std::max(largest, std::abs(exact[i]));
    }
    if (const double relative = difference / largest; relative >= worst.relative) worst = {relative, name};
    is_compared = true;
  }
  if (!is_compared) return std::unexpected(Error{fmt::format("no results in `{}`", folder)});
  return worst;
}

}  // namespace recurve::bench
