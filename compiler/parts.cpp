#include "compiler/parts.h"

#include <algorithm>
#include <functional>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "compiler/descriptor.h"
#include "compiler/jit.h"
#include "compiler/plan_tile.h"
#include "compiler/target_module.h"

namespace recurve {
namespace {

// What LLVM takes for pieces of code, roughly in microseconds on a processor of 2024: only the proportions matter.
constexpr double kEntry = 3000, kCall = 150, kFunction = 600, kSumOverAxes = 1100, kProductOfRows = 2500,
                 kProductOfOneRow = 900, kLaneInstruction = 40, kTileSum = 70;

// Of all heights; kernels of one module share them.
double CostOf(const TileShape& tiles) {
  return kTileSum * tiles.columns * tiles.tile_rows * (tiles.tile_rows + 1) / 2.0;
}

struct Work {
  double cost = 0;  // but for tiles
  std::set<TileShape> tiles;
};

Work WorkOf(const Plan& plan, const EntryPlan& entry, const Kernel& kernel, bool has_tiles) {
  Work work{.cost = kFunction + kLaneInstruction * static_cast<double>(kernel.program.size()), .tiles = {}};
  if (kernel.kind != KernelKind::kMap) work.cost += kSumOverAxes;
  if (!kernel.products.empty()) work.cost += has_tiles ? kProductOfRows : kProductOfOneRow;
  if (!has_tiles) return work;
  for (const MapProduct& product : kernel.products) {
    for (int columns : plan.panels[product.panels].TileColumns())
      work.tiles.insert(TilesOf(plan, entry, kernel, product, columns));
  }
  for (int columns : kernel.chunks) work.tiles.insert(TilesOf(kernel, columns));
  return work;
}

Work WorkOf(const Plan& plan, const PlannedFunction& planned) {
  const EntryPlan& entry = plan.entries[planned.entry];
  if (planned.kernel >= 0) return WorkOf(plan, entry, entry.kernels[planned.kernel], !planned.one_row);
  Work all{.cost = kEntry, .tiles = {}};
  for (const Kernel& kernel : entry.kernels) all.cost += WorkOf(plan, entry, kernel, false).cost;
  return all;
}

// What a module takes, and how that grows with a function.
struct Load {
  double cost = 0;
  std::set<TileShape> tiles;

  double With(const Work& work) const {
    double sum = cost + work.cost;
    for (const TileShape& set : work.tiles) {
      if (!tiles.contains(set)) sum += CostOf(set);
    }
    return sum;
  }
  void Add(const Work& work) {
    cost = With(work);
    tiles.insert(work.tiles.begin(), work.tiles.end());
  }
};

}  // namespace

// Whatever takes longest first, to the module that is then least loaded (Graham 1969).
std::vector<std::vector<PlannedFunction>> DealOut(const Plan& plan, std::vector<PlannedFunction> functions, int count) {
  std::vector<std::vector<PlannedFunction>> groups(static_cast<size_t>(count));
  std::vector<Load> loads(groups.size());
  loads[0].cost = kEntry * static_cast<double>(plan.entries.size()) + kCall * static_cast<double>(functions.size());
  std::vector<std::pair<Work, PlannedFunction*>> rest;
  for (PlannedFunction& function : functions) rest.emplace_back(WorkOf(plan, function), &function);
  std::ranges::sort(rest, std::greater(), [](const auto& one) { return Load().With(one.first); });
  for (auto& [work, function] : rest) {
    const auto least = std::ranges::min_element(loads, {}, [&](const Load& load) { return load.With(work); });
    least->Add(work);
    groups[static_cast<size_t>(least - loads.begin())].push_back(std::move(*function));
  }
  return groups;
}

std::expected<std::vector<std::string>, Error> CompileParts(const Plan& plan, const ProgramInterface& interface,
                                                            const Target& target, int most) {
  TargetModule first(plan.name, target);
  std::vector<PlannedFunction> functions = EmitEntries(plan, *first.module);
  EmitDescriptor(*first.module, interface);
  std::vector<std::string> names;
  for (const PlannedFunction& function : functions) names.push_back(function.name);
  const int count = std::clamp(static_cast<int>(functions.size()), 1, std::max(1, most));
  const std::vector<std::vector<PlannedFunction>> groups = DealOut(plan, std::move(functions), count);
  std::vector<std::expected<std::string, Error>> made(groups.size());
  const auto make = [&](size_t i, llvm::Module& module) {
    EmitFunctions(plan, groups[i], module);
    made[i] = ConsumeIntoObjectForHere(module, target, names);
  };
  const auto make_part = [&](size_t i) {
    TargetModule part(plan.name, target);
    make(i, *part.module);
  };
  {
    std::vector<std::jthread> threads;
    std::vector<size_t> left;
    for (size_t i = 1; i < groups.size(); ++i) {
      try {  // the standard library reports a refused thread by throwing; it ends here
        threads.emplace_back(make_part, i);
      } catch (const std::system_error&) {
        left.push_back(i);
      }
    }
    make(0, *first.module);
    std::ranges::for_each(left, make_part);
  }
  std::vector<std::string> objects;
  for (std::expected<std::string, Error>& object : made) {
    if (!object) return std::unexpected(std::move(object.error()));
    objects.push_back(*std::move(object));
  }
  return objects;
}

}  // namespace recurve
