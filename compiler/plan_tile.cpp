// compiler/plan_tile.cpp: the choice of register tiles and blocks.

#include "compiler/plan_tile.h"

#include <algorithm>

#include "compiler/cost.h"

namespace recurve {
namespace {

constexpr int64_t kScratchBytes = 8192;  // sums of a block: a quarter of the smallest first-level cache
constexpr int kMostBlockRows = 64;
constexpr double kTileCost = 0.3;  // of a tile beside its columns

// `halves` of each sum; a product is a value of its own where it is not part of a multiply-add.
int RegistersOf(const TargetFacts& machine, int rows, int columns, int halves) {
  return halves * (rows * columns + std::min(rows, columns)) + (machine.fused_multiply_add ? 1 : 2);
}

int MostRows(const TargetFacts& machine, int columns, int halves = 1) {
  int rows = 1;
  while (rows < 14 && RegistersOf(machine, rows + 1, columns, halves) <= machine.vector_registers) ++rows;
  return rows;
}

// Splits `columns` into the fewest chunks of at most `widest`, as even as possible.
std::vector<int> EvenChunks(int columns, int widest) {
  int count = (columns + widest - 1) / widest;
  std::vector<int> chunks;
  for (int i = 0; i < count; ++i) chunks.push_back(columns / count + (i < columns % count ? 1 : 0));
  return chunks;
}

// The columns that `units` of each group take.
int ColumnsOf(int64_t units, int groups, int lanes) {
  const auto whole = static_cast<int>(units / lanes), tail = static_cast<int>(units % lanes);
  const int of_tails = tail == 0 ? 0 : (groups * WidthOf(tail) + lanes - 1) / lanes;
  return groups * whole + of_tails;
}

struct Widths {
  int lanes, groups, widest_tile;
  bool last_may_differ;
};

// Of the last of the blocks of so many vectors, if it is another.
int ColumnsOfRest(const Widths& widths, int64_t units, int vectors) {
  const int columns = ColumnsOf(units % (int64_t{widths.lanes} * vectors), widths.groups, widths.lanes);
  return widths.last_may_differ && columns < widths.groups * vectors ? columns : 0;
}

// A tile costs its columns and something.
double CostOfBlock(const Widths& widths, int columns) {
  return columns + kTileCost * ((columns + widths.widest_tile - 1) / widths.widest_tile);
}

// Vectors of units in a block: as many as a wide tile holds, unless the last block is then mostly padding.
int ChooseVectors(const Widths& widths, int64_t units) {
  int best = 1;
  double best_cost = 0;
  for (int vectors = 1; vectors * widths.groups <= widths.widest_tile || vectors == 1; ++vectors) {
    const int64_t block = int64_t{widths.lanes} * vectors;
    if (widths.last_may_differ && vectors > 1 && block - widths.lanes >= units) break;
    const int rest = ColumnsOfRest(widths, units, vectors);
    const int64_t blocks = rest > 0 ? units / block : (units + block - 1) / block;
    double cost =
        static_cast<double>(blocks) * CostOfBlock(widths, widths.groups * vectors) + CostOfBlock(widths, rest);
    if (rest == 1) cost += kTileCost;  // as many rows as of wider tiles do not hide the latency
    if (vectors > 1 && cost > best_cost) continue;
    best = vectors;
    best_cost = cost;
  }
  return best;
}

// Weights of so many second-level caches come from the next cache as fast without being fetched ahead: measured on a
// Zen 5, where fetching costs 2 % of a product whose weights are four times the cache, and gains 12 % at 16 times.
constexpr int64_t kCachesOfWeights = 4;
// Of the panels that are read, those that are fetched, and room for what else a kernel reads.
constexpr int64_t kPiecesOfCache = 4;
// Vectors of a tile of such weights: of 2, 3 and 4 the fastest on a Zen 5, by up to 10 % at 8 and 16 rows, and no
// slower at 32.
constexpr int kWidestTileOfFarWeights = 3;
// Where there are so many, pairs of 16-bit columns, sums in halves and tiles of six columns leave enough for rows.
constexpr int kManyRegisters = 32;

// Weights of more bytes are read in pieces; 0: never.
int64_t MostWeightBytes(const Plan& plan) {
  if (plan.choices.most_weight_bytes > 0) return plan.choices.most_weight_bytes;
  return kCachesOfWeights * static_cast<int64_t>(plan.machine.l2_bytes);
}

bool AreBeyondFirstCache(const Plan& plan, int64_t weight_bytes) {
  int64_t near = plan.choices.near_weight_bytes;
  if (near == 0) near = static_cast<int64_t>(plan.machine.l1_bytes);
  return near > 0 && weight_bytes > near;
}

// So many vectors of units are usually a block.
constexpr int kVectorsOfOneBlock = 4;

// Shorter sums take no time; longer ones are of so many units that blocks side by side hide their latency.
constexpr int64_t kFewestTermsInHalves = 8, kMostTermsInHalves = 32;

}  // namespace

int WidestTile(const Plan& plan, int groups, int64_t weight_bytes) {
  const int widest = plan.choices.widest_tile;
  const int64_t most = MostWeightBytes(plan);
  if (most == 0) return widest;
  if (weight_bytes > most) return std::min(widest, kWidestTileOfFarWeights);
  const bool has_room = plan.machine.vector_registers >= kManyRegisters;
  return has_room && groups < widest && 2 * groups > widest && 2 * groups <= widest * 3 / 2 ? 2 * groups : widest;
}

PanelFormat ChooseFormat(const TargetFacts& machine, Storage store, const std::vector<int>& chunks) {
  const bool has_pairs = std::ranges::any_of(chunks, [](int columns) { return columns > 1; });
  return {store, store == Storage::kBf16 && machine.vector_registers >= kManyRegisters && has_pairs};
}

Tiling ChooseTiling(const TargetFacts& machine, Precision precision, int64_t units, const std::vector<int>& groups,
                    int widest_tile, bool may_differ) {
  Tiling tiling;
  tiling.lanes = machine.Lanes(ElementBytes(precision));
  if (groups.empty()) return tiling;
  auto widths = [&](int count) { return Widths{tiling.lanes, count, widest_tile, may_differ}; };
  tiling.vectors = ChooseVectors(widths(*std::ranges::max_element(groups)), units);
  const auto left = static_cast<int>(units % (int64_t{tiling.lanes} * tiling.vectors));
  int widest = 1;
  int columns = 0;
  for (int count : groups) {
    Tiling::Product product{
        .block = {.vectors = tiling.vectors, .chunks = EvenChunks(count * tiling.vectors, widest_tile)}, .rest = {}};
    if (const int rest = ColumnsOfRest(widths(count), units, tiling.vectors); rest > 0) {
      product.rest = {
          .vectors = left / tiling.lanes, .tail = left % tiling.lanes, .chunks = EvenChunks(rest, widest_tile)};
    }
    widest = std::max(widest, product.block.chunks.front());
    columns += product.block.count();
    tiling.products.push_back(std::move(product));
  }
  tiling.tile_rows = MostRows(machine, widest);
  int64_t row_bytes = int64_t{columns} * tiling.lanes * ElementBytes(precision);
  tiling.block_rows =
      static_cast<int>(std::clamp<int64_t>(kScratchBytes / row_bytes, tiling.tile_rows, kMostBlockRows));
  return tiling;
}

bool HasFarResults(const Plan& plan, const Kernel& kernel) {
  const auto cache = static_cast<int64_t>(plan.machine.l2_bytes);
  int64_t bytes = SizeOf(kernel.units).factor * ElementBytes(plan.precision);
  for (const Size& rows : kernel.rows) bytes *= rows.factor;
  return cache > 0 && bytes > cache;
}

void StreamWeights(const Plan& plan, Kernel& kernel) {
  const int64_t most = MostWeightBytes(plan);
  if (kernel.alternates_terms || most == 0 || WeightBytes(plan, kernel) <= most) return;
  kernel.prefetches = true;
  int64_t row_bytes = 1;  // of a panel
  for (const MapProduct& product : kernel.products) {
    const Panels& panels = plan.panels[product.panels];
    for (int columns : panels.TileColumns()) {
      const int64_t bytes = int64_t{columns} * panels.lanes * StoredBytes(panels.format.storage, plan.precision);
      row_bytes = std::max(row_bytes, bytes);
    }
  }
  kernel.depth = std::max<int64_t>(1, most / kCachesOfWeights / kPiecesOfCache / row_bytes);
}

void AlternateWeights(const Plan& plan, EntryPlan& entry) {
  if (!entry.has_one_row_code) return;
  for (Kernel& kernel : entry.kernels) {
    if (!AreBeyondFirstCache(plan, WeightBytes(plan, kernel))) continue;
    kernel.alternates = true;
    if (entry.turn_buffer >= 0) continue;
    entry.turn_buffer = static_cast<int>(entry.buffers.size());
    entry.buffers.push_back({.name = "turn", .is_index = true});
  }
}

void AlternateTerms(const Plan& plan, Kernel& kernel) {
  if (!kernel.alternates_terms) return;
  // Nothing of this may depend on how units are tiled, which changes no sum.
  const Panels& panels = plan.panels[kernel.products[0].panels];
  const int64_t units = static_cast<int64_t>(panels.groups.size()) * panels.units;
  const int64_t bytes = units * panels.depth * StoredBytes(panels.format.storage, plan.precision);
  kernel.alternates_terms = kernel.has_one_row_form && kernel.products.size() == 1 &&
                            units <= int64_t{kVectorsOfOneBlock} * panels.lanes && AreBeyondFirstCache(plan, bytes) &&
                            !AreInHalves(plan, panels);
}

void WalkSideBySide(const Plan& plan, Kernel& kernel) {
  if (plan.machine.l2_bytes == 0 || kernel.products.empty() || !kernel.units.is_constant()) return;
  int sums = 1;
  int64_t bytes = 0;
  for (const MapProduct& product : kernel.products) {
    const Panels& panels = plan.panels[product.panels];
    sums = std::max(sums, panels.block.count() * (AreInHalves(plan, panels) ? 2 : 1));
    bytes += panels.block_elements() * StoredBytes(panels.format.storage, plan.precision);
  }
  const auto cache = static_cast<int64_t>(plan.machine.l1_bytes);
  const int64_t fitting = (cache + cache / 8) / std::max<int64_t>(bytes, 1);
  int64_t most = std::min<int64_t>(plan.machine.vector_registers / 2 / sums, fitting);
  if (plan.choices.side_by_side > 0) most = plan.choices.side_by_side;
  const int64_t units = int64_t{kernel.lanes} * kernel.vectors, blocks = (kernel.units.extent + units - 1) / units;
  kernel.side_by_side = static_cast<int>(std::clamp<int64_t>(most, 1, blocks));
}

void StoreSums(const Plan& plan, const EntryPlan& entry, Kernel& kernel) {
  if (kernel.kind != KernelKind::kMap || kernel.products.size() != 1 || kernel.stores.size() != 1) return;
  const View& result = kernel.stores[0].view;
  kernel.stores_sums = kernel.program[kernel.stores[0].value].kind == LaneInstruction::Kind::kSum &&
                       plan.panels[kernel.products[0].panels].groups.size() == 1 && kernel.depth == 0 &&
                       kernel.units.extent >= int64_t{kernel.lanes} * kernel.vectors &&
                       result.axes.back().stride == Size{} && entry.buffers[result.buffer].storage == Storage::kSame;
}

bool AreInHalves(const Plan& plan, const Panels& panels) {
  return plan.machine.l2_bytes > 0 && plan.machine.vector_registers >= kManyRegisters &&
         panels.depth >= kFewestTermsInHalves && panels.depth <= kMostTermsInHalves;
}

TileShape TilesOf(const Plan& plan, const EntryPlan& entry, const Kernel& kernel, const MapProduct& product,
                  int columns) {
  const Panels& panels = plan.panels[product.panels];
  const Size& depth_stride = product.left.axes.back().stride;
  TileShape tiles{.columns = columns,
                  .lanes = panels.lanes,
                  .tile_rows = kernel.tile_rows,
                  .left_storage = entry.buffers[product.left.buffer].storage,
                  .format = panels.format,
                  .prefetches = kernel.prefetches,
                  .halves = AreInHalves(plan, panels),
                  .either_way = kernel.alternates_terms};
  tiles.continues = kernel.depth > 0 && panels.depth > kernel.depth && !tiles.halves;
  if (depth_stride.axes.empty()) tiles.constant_depth_stride = depth_stride.factor;
  if (tiles.halves) tiles.tile_rows = std::min(kernel.tile_rows, MostRows(plan.machine, columns, 2));
  return tiles;
}

TileShape TilesOf(const Kernel& kernel, int columns) {
  return {.columns = columns,
          .lanes = kernel.lanes,
          .tile_rows = kernel.tile_rows,
          .constant_row_stride = 1,
          .constant_depth_stride = kernel.block_rows,
          .accumulates = kernel.accumulates};
}

}  // namespace recurve
