#include "runtime/update.h"

#include <fmt/format.h>

#include <algorithm>

namespace recurve {
namespace {

bool IsParameter(const Program& program, std::string_view name) {
  return std::ranges::any_of(program.parameters(), [&](const recurve_slot* slot) { return slot->name == name; });
}

}  // namespace

template <typename T>
std::expected<void, Error> Updater<T>::Prepare(const std::shared_ptr<Parameters>& parameters, Session& session,
                                               const OptimizerOptions& options) {
  const Program& program = parameters->program();
  auto fail = [&](const std::string& flaw) {
    return std::unexpected(Error{fmt::format("cannot train `{}`: {}", program.name(), flaw)});
  };
  entry_ = program.FindEntry("update");
  if (entry_ == nullptr) return fail("it was compiled without an optimizer, and has no entry `update`");
  options_ = options;
  const std::pair<const char*, double> known[] = {
      {"rate", options.rate},   {"momentum", options.momentum}, {"beta1", options.beta1},
      {"beta2", options.beta2}, {"epsilon", options.epsilon},   {"decay", options.decay},
      {"clip", options.clip},   {"bound", options.bound},       {"steps", 0}};
  settings_.clear();
  for (const auto& [name, value] : known) settings_[name] = static_cast<T>(value);
  for (const auto& [name, value] : options.more) settings_[name] = static_cast<T>(value);
  slots_.clear();
  std::vector<size_t> extents(std::max<size_t>(program.axes().size(), 1), 1);
  for (int i = 0; i < entry_->slot_count; ++i) {
    const recurve_slot& slot = entry_->slots[i];
    const std::string name = slot.name;
    const void* place = nullptr;
    switch (slot.kind) {
      case RECURVE_SLOT_EXTENT: slots_.push_back(1); continue;
      case RECURVE_SLOT_OUTPUT: place = &length_; break;
      case RECURVE_SLOT_PACKED: place = parameters->packed(); break;
      case RECURVE_SLOT_TEAM: break;
      case RECURVE_SLOT_WORKSPACE:
        if (!workspace_.Reserve(entry_->workspace_bytes == nullptr ? 1 : entry_->workspace_bytes(extents.data())))
          return fail("there is no memory for the optimizer");
        place = workspace_.data();
        break;
      case RECURVE_SLOT_STATE:
        if (IsParameter(program, name)) {
          const auto values = parameters->Write<T>(name);
          if (!values) return std::unexpected(values.error());
          place = values->data();
        } else {
          std::vector<T>& state = states_[name];
          state.assign(static_cast<size_t>(slot.dims[0]), T{0});
          place = state.data();
        }
        break;
      default:
        if (slot.rank == 0) {
          const auto setting = settings_.find(name);
          if (setting == settings_.end()) return fail(fmt::format("the optimizer wants a setting `{}`", name));
          place = &setting->second;
        } else {
          const auto gradient = session.Tensor<T>(name);
          if (!gradient) return fail(gradient.error().message);
          place = gradient->data();
        }
    }
    slots_.push_back(reinterpret_cast<uintptr_t>(place));
  }
  return {};
}

template <typename T>
double Updater<T>::Step(uint64_t total) {
  ++steps_;
  settings_["steps"] = static_cast<T>(steps_);
  settings_["rate"] = static_cast<T>(options_.rate * options_.schedule.At(steps_, total));
  entry_->run(slots_.data());
  return static_cast<double>(length_);
}

template class Updater<float>;
template class Updater<double>;

}  // namespace recurve
