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

bool IsResult(const recurve_slot& slot) { return slot.kind == RECURVE_SLOT_OUTPUT; }
bool IsData(const recurve_slot& slot) {
  return slot.kind == RECURVE_SLOT_INPUT || slot.kind == RECURVE_SLOT_STATE ||
         (slot.kind == RECURVE_SLOT_ADJOINT && std::string_view(slot.name) == "y_adj");
}

}  // namespace

std::expected<Program, Error> CompilePoint(const Point& point, std::vector<std::string> entries) {
  return CompileFile(CellPath(point.cell), point.cell, {{"I", point.size.inputs}, {"H", point.size.units}},
                     {.entries = std::move(entries)});
}

Kernels::Kernels(Point point, Program program, std::shared_ptr<Team> team)
    : point_(std::move(point)), team_(std::move(team)), parameters_(std::make_shared<Parameters>(std::move(program))) {
  if (point_.is_streaming)
    stream_.emplace(parameters_);
  else
    session_.emplace(parameters_);
}

std::expected<std::unique_ptr<Kernels>, Error> Kernels::Make(const Point& point, std::shared_ptr<Team> team) {
  std::vector<std::string> entries;
  for (Pass pass : PassesOf(point)) entries.emplace_back(PassName(pass));
  auto program = CompilePoint(point, std::move(entries));
  if (!program) return std::unexpected(std::move(program.error()));
  std::unique_ptr<Kernels> kernels(new Kernels(point, std::move(*program), std::move(team)));
  if (auto done = kernels->parameters_->Initialize(1); !done) return std::unexpected(std::move(done.error()));
  if (auto& session = kernels->session_) {
    for (auto [axis, size] : {std::pair("T", point.size.steps), std::pair("B", point.size.batch)}) {
      if (auto done = session->SetExtent(axis, static_cast<size_t>(size)); !done)
        return std::unexpected(std::move(done.error()));
    }
  }
  for (const recurve_slot* slot : kernels->frame().tensors()) {
    if (!IsData(*slot)) continue;
    auto values = kernels->frame().Tensor<float>(slot->name);
    if (!values) return std::unexpected(std::move(values.error()));
    FillRandom(*values, slot->name);
  }
  return kernels;
}

std::expected<void, Error> Kernels::Run(Pass pass, int threads) {
  frame().UseTeam(threads > 1 ? team_ : nullptr);
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
  const double steps = static_cast<double>(point_.size.steps);
  Work work{.operations = 2 * steps * static_cast<double>(point_.size.batch) * all_weights,
            .steps = steps,
            .bytes_a_step = (all_weights - input_weights) * sizeof(float),
            .bytes_once = input_weights * sizeof(float)};
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

std::expected<double, Error> Kernels::Compare(const std::string& folder) {
  double worst = 0;
  int compared = 0;
  for (const recurve_slot* slot : frame().tensors()) {
    // A stream's results are its outputs and its states.
    if (!IsResult(*slot) && !(stream_ && slot->kind == RECURVE_SLOT_STATE)) continue;
    const std::string path = fmt::format("{}/{}.f32", folder, slot->name);
    std::ifstream stream(path, std::ios::binary);
    if (!stream) continue;
    auto ours = frame().Tensor<float>(slot->name);
    if (!ours) return std::unexpected(std::move(ours.error()));
    std::vector<float> theirs(ours->size() + 1);
    stream.read(reinterpret_cast<char*>(theirs.data()), static_cast<std::streamsize>(theirs.size() * sizeof(float)));
    if (static_cast<size_t>(stream.gcount()) != ours->size_bytes())
      return std::unexpected(
          Error{fmt::format("`{}` has {} bytes instead of {}", path, stream.gcount(), ours->size_bytes())});
    double difference = 0, largest = 0;
    for (size_t i = 0; i < ours->size(); ++i) {
      const double ours_i = (*ours)[i], theirs_i = theirs[i];
      if (!std::isfinite(ours_i) || !std::isfinite(theirs_i))
        return std::unexpected(Error{fmt::format("`{}` is not finite", path)});
      difference = std::max(difference, std::abs(ours_i - theirs_i));
      largest = std::max(largest, std::abs(ours_i));
    }
    worst = std::max(worst, difference / largest);
    ++compared;
  }
  if (compared == 0) return std::unexpected(Error{fmt::format("no results in `{}`", folder)});
  return worst;
}

}  // namespace recurve::bench
