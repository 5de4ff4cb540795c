#include "runtime/sequence_model.h"

#include <fmt/format.h>

namespace recurve {
namespace {

// "encoder.target_tokens" has the own name "target_tokens".
std::string_view OwnName(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

std::span<const recurve_slot> Slots(const recurve_entry& entry) {
  return {entry.slots, static_cast<size_t>(entry.slot_count)};
}

// Forward has the target and the loss, which inference may have been spared.
const recurve_entry* FullestEntry(const Program& program) {
  const recurve_entry* entry = program.FindEntry("forward");
  return entry != nullptr ? entry : program.FindEntry("inference");
}

bool IsNumber(const recurve_slot& slot) { return slot.is_index != 0 && slot.classes == RECURVE_ANY_INDEX; }

}  // namespace

ProgramStates ProgramStates::Of(const Program& program) {
  ProgramStates found;
  const recurve_entry* entry = FullestEntry(program);
  if (entry == nullptr) return found;
  for (const recurve_slot& slot : Slots(*entry)) {
    if (slot.kind == RECURVE_SLOT_INPUT && IsNumber(slot) && slot.rank == 0) found.seed = slot.name;
    if (slot.kind != RECURVE_SLOT_STATE || !std::string_view(slot.name).ends_with('0')) continue;
    std::string final(slot.name);
    final.back() = 'T';
    const recurve_slot* end = Program::FindSlot(*entry, final);
    if (end != nullptr && end->kind == RECURVE_SLOT_OUTPUT) found.states.push_back({slot.name, std::move(final)});
  }
  return found;
}

std::expected<SequenceModel, Error> SequenceModel::Of(const Program& program) {
  const auto fail = [&](std::string_view flaw) {
    return std::unexpected(Error{fmt::format("cannot run `{}` over a sequence: {}", program.name(), flaw)});
  };
  const recurve_entry* entry = FullestEntry(program);
  if (entry == nullptr) return fail("it has neither an `inference` nor a `forward` entry");

  SequenceModel model{ProgramStates::Of(program)};
  const recurve_slot *reads = nullptr, *target = nullptr;
  for (const recurve_slot& slot : Slots(*entry)) {
    if (slot.kind != RECURVE_SLOT_INPUT) continue;
    if (IsNumber(slot) && slot.rank == 0) continue;  // the seed
    if (IsNumber(slot) && slot.rank == 1) {
      model.lengths.emplace_back(slot.name);
      continue;
    }
    const recurve_slot*& place = OwnName(slot.name).starts_with("target") ? target : reads;
    if (place != nullptr) {
      return fail(
          fmt::format("it reads both `{}` and `{}`; a file gives one input, and a target whose name begins with "
                      "`target`",
                      place->name, slot.name));
    }
    place = &slot;
  }
  if (reads == nullptr) return fail("it has no input");
  model.is_token = reads->is_index != 0;
  if (reads->rank != (model.is_token ? 2 : 3) || reads->dims[0] >= 0 || reads->dims[1] >= 0 ||
      (!model.is_token && reads->dims[2] < 0)) {
    return fail(fmt::format("its input `{}` is {}, not {}", reads->name, program.ShapeText(*reads),
                            model.is_token ? "[time, batch]" : "[time, batch, width]"));
  }
  model.reads = reads->name;
  model.time_axis = program.axes()[static_cast<size_t>(-1 - reads->dims[0])];
  model.batch_axis = program.axes()[static_cast<size_t>(-1 - reads->dims[1])];
  model.width = model.is_token ? 1 : static_cast<size_t>(reads->dims[2]);
  model.classes = model.is_token ? static_cast<size_t>(reads->classes) : 0;
  model.prediction_width = model.is_token ? model.classes : model.width;
  if (target != nullptr) {
    if ((target->is_index != 0) != model.is_token) {
      return fail(fmt::format("one of `{}` and `{}` is tokens, the other is values", reads->name, target->name));
    }
    model.target = target->name;
    model.predicts_every_step = target->rank == reads->rank;
    const bool fits = target->rank == reads->rank || target->rank == reads->rank - 1;
    if (!fits || (model.predicts_every_step && target->dims[0] != reads->dims[0]) ||
        target->dims[model.predicts_every_step ? 1 : 0] != reads->dims[1]) {
      return fail(fmt::format("its target `{}` is {}, which does not go with `{}` {}", target->name,
                              program.ShapeText(*target), reads->name, program.ShapeText(*reads)));
    }
    model.prediction_width = static_cast<size_t>(model.is_token ? target->classes : target->dims[target->rank - 1]);
  }
  const int prediction_rank = model.predicts_every_step ? 3 : 2;
  for (const recurve_slot& slot : Slots(*entry)) {
    const bool is_prediction = slot.kind == RECURVE_SLOT_OUTPUT && !slot.is_index && slot.rank == prediction_rank &&
                               slot.dims[slot.rank - 1] == static_cast<recurve_dim>(model.prediction_width);
    // A final state `hT` may have the same shape; it is none.
    const bool is_state =
        std::string_view(slot.name).ends_with('T') &&
        Program::FindSlot(*entry, std::string(slot.name, std::string_view(slot.name).size() - 1) + "0");
    if (is_prediction && !is_state && model.prediction.empty()) model.prediction = slot.name;
  }
  return model;
}

std::expected<void, Error> SequenceModel::Resize(Session& session, size_t length, size_t batch) const {
  if (auto done = session.SetExtent(time_axis, length); !done) return done;
  return session.SetExtent(batch_axis, batch);
}

std::expected<void, Error> ProgramStates::CarryStates(Session& session) const {
  for (const State& state : states) {
    if (auto done = session.Copy(state.final, state.initial); !done) return done;
  }
  return {};
}

std::expected<void, Error> ProgramStates::SetSeed(Session& session, uint64_t number) const {
  if (seed.empty()) return {};
  const double value = static_cast<double>(number % static_cast<uint64_t>(RECURVE_ANY_INDEX));
  return session.Set(seed, std::span(&value, 1));
}

std::expected<void, Error> SequenceModel::SetLengths(Session& session) const {
  for (const std::string& name : lengths) {
    if (session.FindTensor(name) == nullptr) continue;
    const std::vector<double> values(session.Extent(batch_axis), static_cast<double>(session.Extent(time_axis)));
    if (auto done = session.Set(name, values); !done) return done;
  }
  return {};
}

std::expected<void, Error> ProgramStates::ClearStates(Session& session) const {
  for (const State& state : states) {
    if (auto done = session.Fill(state.initial, 0); !done) return done;
  }
  return {};
}

}  // namespace recurve
