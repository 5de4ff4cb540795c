// compiler/plan.cpp: entries: slots, tape, packed weights, and the graph of each as statements.

#include "compiler/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <span>

#include "compiler/graph_util.h"
#include "compiler/plan_access.h"
#include "compiler/plan_block.h"
#include "compiler/plan_rows.h"
#include "compiler/plan_tape.h"
#include "compiler/plan_team.h"
#include "compiler/plan_tile.h"
#include "compiler/plan_view.h"

namespace recurve {
namespace {

int64_t AlignUp(int64_t bytes) { return (bytes + RECURVE_ALIGNMENT - 1) / RECURVE_ALIGNMENT * RECURVE_ALIGNMENT; }

bool IsTape(const std::string& output) {
  return output.starts_with("tape") && output.size() > 4 &&
         output.find_first_not_of("0123456789", 4) == std::string::npos;
}

// The N of tapeN.
int TapeNumber(const std::string& name) { return std::stoi(name.substr(4)); }

recurve_slot_kind SlotKindOf(ir::Role role) {
  switch (role) {
    case ir::Role::kData:
    case ir::Role::kCarry:
    case ir::Role::kElement:
    case ir::Role::kInvariant: return RECURVE_SLOT_INPUT;
    case ir::Role::kParameter: return RECURVE_SLOT_PARAMETER;
    case ir::Role::kConstant: return RECURVE_SLOT_CONSTANT;
    case ir::Role::kState: return RECURVE_SLOT_STATE;
    case ir::Role::kAdjoint: return RECURVE_SLOT_ADJOINT;
    case ir::Role::kTape: return RECURVE_SLOT_TAPE;
    case ir::Role::kPacked: return RECURVE_SLOT_PACKED;
  }
  return RECURVE_SLOT_INPUT;
}

// Elements of one step of a sequence; a tape region keeps that much free on either side.
Size GuardOf(const ir::Shape& shape) {
  return shape.empty() || shape.front().is_constant() ? Size{0, {}} : SizeOf(ir::Shape(shape.begin() + 1, shape.end()));
}

class EntryPlanner {
 public:
  EntryPlanner(Plan& plan, EntryGraph entry) : plan_(plan), graph_(std::move(entry.graph)) {
    entry_.name = std::move(entry.name);
    context_.plan = &plan;
    context_.entry = &entry_;
    context_.packs = entry_.name != "pack";
  }

  EntryPlan Run() {
    for (const std::string& axis : plan_.axes) entry_.slots.push_back({.name = axis, .kind = RECURVE_SLOT_EXTENT});
    AddInputs();
    AddOutputs();
    if (entry_.name == "pack") AddWeightsOfPanels();
    entry_.statements = PlanBlock(context_, graph_, inputs_, destinations_);
    std::erase_if(written_over_, [&](const auto& pair) { return WriteInPlace(pair.first, pair.second); });
    if (!written_over_.empty()) WriteStatesBack();
    entry_.statements = GroupByRows(entry_, std::move(entry_.statements), plan_.precision);
    if (entry_.name != "pack") DropUnusedParameters();
    entry_.has_one_row_code = IsShort();
    entry_.slots.push_back({.name = "packed", .kind = RECURVE_SLOT_PACKED});
    if (entry_.name == "forward" || entry_.name == "backward") {
      entry_.slots.push_back({.name = "tape", .kind = RECURVE_SLOT_TAPE});
    }
    entry_.slots.push_back({.name = "workspace", .kind = RECURVE_SLOT_WORKSPACE});
    entry_.slots.push_back({.name = "team", .kind = RECURVE_SLOT_TEAM});
    return std::move(entry_);
  }

 private:
  // Whether what a call costs besides its arithmetic matters: it is one step of a batch.
  bool IsShort() const {
    auto is_loop = [](const Statement& statement) {
      return std::holds_alternative<TimeLoop>(statement.kind) || std::holds_alternative<ChunkLoop>(statement.kind);
    };
    return entry_.name == "step" && std::ranges::none_of(entry_.statements, is_loop) &&
           std::ranges::none_of(entry_.buffers, &Buffer::zero_if_null) &&
           std::ranges::find(plan_.axes, "B") != plan_.axes.end();
  }

  int AddSlot(Slot slot) {
    entry_.slots.push_back(std::move(slot));
    return static_cast<int>(entry_.slots.size()) - 1;
  }

  void AddInputs() {
    for (ir::NodeId id : graph_.inputs()) {
      const auto& input = graph_[id].As<ir::InputAttr>();
      const ir::Type& type = graph_.type(id);
      Buffer buffer{.name = input.name, .is_index = type.element == ir::Element::kIndex, .size = SizeOf(type.shape)};
      recurve_slot_kind kind = SlotKindOf(input.role);
      if (kind == RECURVE_SLOT_TAPE) {
        inputs_.push_back(ViewOfTape(plan_.tape_values.at(TapeNumber(input.name)), type.shape));
        continue;
      }
      if (kind == RECURVE_SLOT_PACKED) {
        buffer.place = Place::kPacked;
      } else {
        buffer.place = Place::kSlot;
        buffer.zero_if_null =
            kind == RECURVE_SLOT_ADJOINT || (kind == RECURVE_SLOT_STATE && !OverwritesStates(entry_.name));
        std::string name = input.name;
        if (OverwritesStates(entry_.name) && kind == RECURVE_SLOT_STATE && name.ends_with('0')) name.pop_back();
        buffer.slot = AddSlot({.name = name,
                               .kind = kind,
                               .is_index = buffer.is_index,
                               .shape = type.shape,
                               .classes = input.classes,
                               .init = input.init});
      }
      inputs_.push_back(DenseView(context_.AddBuffer(buffer), type.shape));
    }
  }

  View ViewOfTape(const TapeValue& value, const ir::Shape& shape) {
    const auto known = std::ranges::find(entry_.buffers, value.region, &Buffer::tape_region);
    const bool is_new = known == entry_.buffers.end();
    const int buffer =
        is_new ? context_.AddBuffer(plan_.tape[value.region]) : static_cast<int>(known - entry_.buffers.begin());
    const View view = DenseView(buffer, shape);
    return value.shift == 0 ? view : ShiftFirst(view, value.shift);
  }

  // The input that a streaming step overwrites with this output: `h0` for `hT`.
  int StateOverwrittenBy(const std::string& output) const {
    if (!OverwritesStates(entry_.name) || !output.ends_with('T')) return -1;
    std::string name = output.substr(0, output.size() - 1) + "0";
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const auto& input = graph_[graph_.inputs()[i]].As<ir::InputAttr>();
      if (input.role == ir::Role::kState && input.name == name) return static_cast<int>(i);
    }
    return -1;
  }

  // Of an output of `forward` that stacks the carry of a scan before each step, the one that stacks the same carry
  // after it; or -1. In 16 bits they have regions of their own: a carry keeps its digits elsewhere then (plan_scan.h).
  int StackedAfter(int before) const {
    const std::vector<ir::Output>& outputs = graph_.outputs();
    const ir::Node& node = graph_[outputs[before].node];
    if (entry_.name != "forward" || !IsTape(outputs[before].name) || plan_.store != Storage::kSame) return -1;
    if (node.op != ir::Op::kScanResult || node.type.shape.front().is_constant()) return -1;
    const auto& scan = graph_[node.args[0]].As<ir::ScanAttr>();
    const std::vector<ir::Output>& results = scan.body->outputs();
    auto stacked_in = [&](const ir::Output& output) {
      const ir::Node& result = graph_[output.node];
      if (!IsTape(output.name) || result.op != ir::Op::kScanResult || result.args != node.args) return kAbsent;
      const int index = result.As<ir::ResultAttr>().index;
      return index < scan.carries ? kAbsent : results[index].node;
    };
    const std::span carries(scan.body->inputs().data(), static_cast<size_t>(scan.carries));
    const auto carry = std::ranges::find(carries, stacked_in(outputs[before]));
    if (carry == carries.end()) return -1;
    const ir::NodeId next = results[carry - carries.begin()].node;
    // A carry that becomes another one would be two steps away in the end.
    if (std::ranges::find(carries, next) != carries.end()) return -1;
    const auto after = std::ranges::find(outputs, next, stacked_in);
    return after == outputs.end() ? -1 : static_cast<int>(after - outputs.begin());
  }

  void AddOutputs() {
    const int count = static_cast<int>(graph_.outputs().size());
    destinations_.resize(count);
    for (int i = 0; i < count; ++i) {
      if (StackedAfter(i) < 0) destinations_[i].push_back(DestinationOf(graph_.outputs()[i]));
    }
    for (int i = 0; i < count; ++i) {
      const int after = StackedAfter(i);
      if (after < 0) continue;
      const ir::Node& result = graph_[graph_.outputs()[i].node];
      const int64_t shift = graph_[result.args[0]].As<ir::ScanAttr>().reverse ? 1 : -1;
      const View& view = destinations_[after].front();
      destinations_[i].push_back(ShiftFirst(view, shift));
      plan_.tape_values[TapeNumber(graph_.outputs()[i].name)] = {entry_.buffers[view.buffer].tape_region, shift};
    }
  }

  View DestinationOf(const ir::Output& output) {
    const ir::Shape& shape = graph_.type(output.node).shape;
    Buffer buffer{.name = output.name, .size = SizeOf(shape)};
    int state = StateOverwrittenBy(output.name);
    if (entry_.name == "forward" && IsTape(output.name)) {
      buffer.place = Place::kTape;
      buffer.guard = GuardOf(shape);
      buffer.storage = plan_.store;
      buffer.tape_region = static_cast<int>(plan_.tape.size());
      plan_.tape_values[TapeNumber(output.name)] = {buffer.tape_region};
      plan_.tape.push_back(buffer);
    } else if (entry_.name == "pack") {
      buffer.place = Place::kPacked;
    } else if (state >= 0) {
      written_over_.emplace_back(state, static_cast<int>(entry_.buffers.size()));
    } else {
      buffer.place = Place::kSlot;
      buffer.spare_if_null = true;
      buffer.slot = AddSlot({.name = output.name, .kind = RECURVE_SLOT_OUTPUT, .shape = shape});
    }
    return DenseView(context_.AddBuffer(buffer), shape);
  }

  // A state of which no unit is read but where its own next value is computed needs no other place for that: every
  // vector of a Map is loaded before it is stored. False if somebody else may read the old state.
  bool WriteInPlace(int input, int buffer) {
    const int state = inputs_[input].buffer;
    const Kernel* writer = nullptr;
    const View* written = nullptr;
    for (const Kernel& kernel : entry_.kernels) {
      for (const Access& write : WritesOf(kernel)) {
        if (write.view->buffer != buffer) continue;
        if (writer != nullptr || kernel.kind != KernelKind::kMap) return false;
        writer = &kernel;
        written = write.view;
      }
    }
    if (writer == nullptr) return false;
    for (const Kernel& kernel : entry_.kernels) {
      for (const Access& read : ReadsOf(kernel)) {
        if (read.view->buffer != state) continue;
        auto is_load = [&](const LaneInstruction& instruction) {
          return instruction.kind == LaneInstruction::Kind::kLoad && &instruction.view == read.view;
        };
        bool own = &kernel == writer && std::ranges::any_of(kernel.program, is_load);
        if (!own || read.view->offset != written->offset || read.view->axes != written->axes) return false;
      }
    }
    ForEachView([&](View& view) {
      if (view.buffer == buffer) view.buffer = state;
    });
    entry_.buffers[buffer].size = Size{0, {}};
    return true;
  }

  // The other new states were computed beside the old ones, which the step reads to its end; now they take their place.
  void WriteStatesBack() {
    ir::Graph copy;
    std::vector<View> inputs;
    std::vector<std::vector<View>> destinations;
    for (auto [input, buffer] : written_over_) {
      const ir::Shape& shape = graph_.type(graph_.inputs()[input]).shape;
      ir::NodeId value = copy.Add({.op = ir::Op::kInput,
                                   .type = {ir::Element::kReal, shape},
                                   .attr = ir::InputAttr{.name = entry_.buffers[buffer].name},
                                   .label = entry_.buffers[buffer].name});
      copy.AddOutput(entry_.buffers[buffer].name, value);
      inputs.push_back(DenseView(buffer, shape));
      destinations.push_back({inputs_[input]});
    }
    entry_.statements.push_back({Barrier{}});
    for (Statement& statement : PlanBlock(context_, copy, inputs, destinations)) {
      entry_.statements.push_back(std::move(statement));
    }
  }

  // `pack` reads every weight that a panel set holds.
  void AddWeightsOfPanels() {
    entry_.packs_panels = true;
    for (Panels& panels : plan_.panels) {
      for (PanelGroup& group : panels.groups) {
        auto found = std::ranges::find(entry_.buffers, group.source_name, &Buffer::name);
        if (found == entry_.buffers.end()) {
          fmt::print(stderr, "recurve: internal error: `pack` lacks the weight `{}`\n", group.source_name);
          std::abort();
        }
        group.source.buffer = static_cast<int>(found - entry_.buffers.begin());
      }
    }
  }

  template <typename Visit>
  void ForEachView(Visit visit) {
    for (Kernel& kernel : entry_.kernels) {
      for (MapProduct& product : kernel.products) visit(product.left);
      for (LaneInstruction& instruction : kernel.program) {
        visit(instruction.view);
        visit(instruction.index);
      }
      for (LaneStore& store : kernel.stores) visit(store.view);
      visit(kernel.left);
      visit(kernel.right);
      visit(kernel.out);
    }
  }

  // Parameters that reach the entry only through packed panels are not its arguments.
  void DropUnusedParameters() {
    std::set<int> used;
    ForEachView([&](View& view) {
      if (view.buffer >= 0) used.insert(view.buffer);
    });
    std::vector<Slot> kept;
    std::vector<int> renumbered(entry_.slots.size(), -1);
    for (size_t i = 0; i < entry_.slots.size(); ++i) {
      const Slot& slot = entry_.slots[i];
      bool parameter = slot.kind == RECURVE_SLOT_PARAMETER || slot.kind == RECURVE_SLOT_CONSTANT;
      bool read =
          std::ranges::any_of(used, [&](int buffer) { return entry_.buffers[buffer].slot == static_cast<int>(i); });
      if (parameter && !read) continue;
      renumbered[i] = static_cast<int>(kept.size());
      kept.push_back(slot);
    }
    entry_.slots = std::move(kept);
    for (Buffer& buffer : entry_.buffers) {
      if (buffer.slot >= 0) buffer.slot = renumbered[buffer.slot];
    }
  }

  Plan& plan_;
  ir::Graph graph_;
  EntryPlan entry_;
  EntryContext context_;
  std::vector<View> inputs_;
  std::vector<std::vector<View>> destinations_;
  std::vector<std::pair<int, int>> written_over_;  // (input, buffer of the output)
};

// Fixes the layout of the packed buffer: values that `pack` computes, then panels.
void LayOutPacked(Plan& plan) {
  int64_t offset = 0;  // bytes
  for (EntryPlan& entry : plan.entries) {
    if (entry.name != "pack") continue;
    for (Buffer& buffer : entry.buffers) {
      if (buffer.place != Place::kPacked) continue;
      buffer.packed_offset_bytes = offset;
      offset += AlignUp(buffer.size.factor * plan.BytesOf(buffer));
      for (EntryPlan& other : plan.entries) {
        for (Buffer& reader : other.buffers) {
          if (reader.place == Place::kPacked && reader.name == buffer.name)
            reader.packed_offset_bytes = buffer.packed_offset_bytes;
        }
      }
    }
  }
  for (Panels& panels : plan.panels) {
    panels.offset_bytes = offset;
    offset += AlignUp(panels.elements() * StoredBytes(panels.format.storage, plan.precision));
  }
  plan.packed_bytes = offset;
}

}  // namespace

bool IsSharedByUnits(const Kernel& kernel) {
  return kernel.kind == KernelKind::kReduce && !kernel.reduce_units && kernel.rows == std::vector<Size>{Size{}};
}

bool ReducesUnitsOfRows(const Kernel& kernel) {
  return kernel.kind == KernelKind::kReduce && kernel.reduce_units && kernel.reduced.empty();
}

int Plan::AddPanels(Panels wanted) {
  for (size_t i = 0; i < panels.size(); ++i) {
    if (panels[i].SameLayout(wanted)) return static_cast<int>(i);
  }
  panels.push_back(std::move(wanted));
  return static_cast<int>(panels.size()) - 1;
}

int BlockColumns::count() const { return std::accumulate(chunks.begin(), chunks.end(), 0); }

int64_t Panels::LaneOf(const BlockColumns& columns, int group, int vector) const {
  if (vector < columns.vectors || columns.tail == 0) return (int64_t{group} * columns.vectors + vector) * lanes;
  return static_cast<int64_t>(groups.size()) * columns.vectors * lanes + int64_t{group} * WidthOf(columns.tail);
}

int64_t Panels::elements() const {
  return blocks() * block_elements() - (rest ? depth * (block.count() - rest->count()) * lanes : 0);
}

std::vector<int> Panels::TileColumns() const {
  std::vector<int> columns = block.chunks;
  if (rest) columns.insert(columns.end(), rest->chunks.begin(), rest->chunks.end());
  return columns;
}

bool Panels::SameLayout(const Panels& other) const {
  auto same_source = [](const PanelGroup& a, const PanelGroup& b) {
    return a.source_name == b.source_name && a.source.offset == b.source.offset && a.source.axes == b.source.axes;
  };
  return units == other.units && depth == other.depth && lanes == other.lanes && block == other.block &&
         rest == other.rest && format == other.format && std::ranges::equal(groups, other.groups, same_source);
}

Plan MakePlan(const std::string& name, std::vector<EntryGraph> entries, Precision precision, const TargetFacts& machine,
              const PlanChoices& choices, Storage store) {
  Plan plan{.name = name, .precision = precision, .store = store, .machine = machine, .choices = choices};
  for (const EntryGraph& entry : entries) {
    for (std::string& axis : ir::SymbolicAxes(entry.graph)) {
      if (std::ranges::find(plan.axes, axis) == plan.axes.end()) plan.axes.push_back(std::move(axis));
    }
  }
  if (std::erase(plan.axes, "B") != 0) plan.axes.push_back("B");
  for (EntryGraph& entry : entries) plan.entries.push_back(EntryPlanner(plan, std::move(entry)).Run());
  LayOutPacked(plan);
  for (EntryPlan& entry : plan.entries) {
    for (Kernel& kernel : entry.kernels) {
      AlternateTerms(plan, kernel);
      StreamWeights(plan, kernel);
      StoreSums(plan, entry, kernel);
      WalkSideBySide(plan, kernel);
    }
    AlternateWeights(plan, entry);
    MarkFarStores(plan, entry);
  }
  PlanTeam(plan);
  return plan;
}

ProgramInterface InterfaceOf(const Plan& plan, const std::string& target) {
  ProgramInterface program{.name = plan.name,
                           .target = target,
                           .precision = plan.precision,
                           .store = plan.store,
                           .axes = plan.axes,
                           .packed_bytes = static_cast<size_t>(plan.packed_constant < 0 ? plan.packed_bytes : 0),
                           .only_one = plan.choices.only_one};
  for (const Constant& constant : plan.constants) program.constant_bytes += constant.bytes.size();
  for (const EntryPlan& entry : plan.entries) {
    program.has_tape |= entry.name == "forward" || entry.name == "backward";
    program.entries.push_back({entry.name, entry.slots});
  }
  return program;
}

}  // namespace recurve
