// compiler/plan_tile.h: register tiles and blocks.
//
// A register tile keeps rows x columns sums in vector registers while it walks the summed axis, beside the shorter side
// of the outer product and one register for the longer side: rows * columns + min(rows, columns) + 1 registers, and
// one more for a product that no instruction adds up. More columns than fit are split evenly into chunks. Vectors of
// units are added to a block until a tile is wide enough, as long as that does not pad away more than it gains. Units
// that are left over make a block of fewer columns, in which several groups share a vector (20 units of an LSTM are
// four vectors and one, not eight).

#ifndef RECURVE_COMPILER_PLAN_TILE_H_
#define RECURVE_COMPILER_PLAN_TILE_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "compiler/plan.h"

namespace recurve {

struct Tiling {
  int lanes = 1;       // units in a vector
  int vectors = 1;     // vectors of units in a block
  int tile_rows = 1;   // largest number of rows of a register tile
  int block_rows = 1;  // rows of a block
  struct Product {
    BlockColumns block;
    std::optional<BlockColumns> rest;  // of the last block, if it has fewer columns
  };
  std::vector<Product> products;
};

// For `units` and products that have `groups` column groups each, in tiles of at most `widest_tile` columns; without
// products a block is one vector. The last block is like the others unless it `may_differ`.
Tiling ChooseTiling(const TargetFacts& machine, Precision precision, int64_t units, const std::vector<int>& groups,
                    int widest_tile, bool may_differ);

// Most columns of a tile of products of at most `groups` column groups, the largest of which reads so many bytes of
// weights. Of weights that no near cache holds narrower tiles have more rows: of a batch of eight each reads them once
// and not twice. Of others, one vector of units of three groups leaves a column unused; two of each are six columns,
// which hide the latency of one row better.
int WidestTile(const Plan& plan, int groups, int64_t weight_bytes);

// Pairs hold two more registers in a tile than its sums and factors, which is why they want many.
PanelFormat ChooseFormat(const TargetFacts& machine, Storage store, const std::vector<int>& chunks);

// Whether the results of a kProduct are more than the second-level cache holds.
bool HasFarResults(const Plan& plan, const Kernel& kernel);

// Of a kernel whose weights do not stay in the second-level cache: the tiles of a block find them there all the same,
// since they read no more terms at a time than leave room for the next ones, which are fetched meanwhile. Those that
// alternate by terms are read as they are.
void StreamWeights(const Plan& plan, Kernel& kernel);

// Of one row's steps whose weights are more than the first-level cache: every other call reads them backwards and finds
// there what the last one read last. A word in the workspace counts the calls.
void AlternateWeights(const Plan& plan, EntryPlan& entry);

// Of the adjoint's steps whose weights are of so few units that there is one block, and more than the first-level
// cache: the same by terms. It changes sums, so that it is done for any number of rows, by the number of the step, and
// not where steps are computed from elsewhere, too: in a stream or once more in a segment.
void AlternateTerms(const Plan& plan, Kernel& kernel);

// How many blocks of one row are walked side by side: as many as keep half of the registers with sums, which hide the
// latency of multiply-adds, if the first-level cache holds their weights and little more; beyond it each is another
// stream that the second one serves. Small machines want short code.
void WalkSideBySide(const Plan& plan, Kernel& kernel);

// Whether the sums of few terms are made in two halves, which are added in the end: in a step of one row of few units
// each multiply-add waits for the last one, and two halves wait half as long. So is every sum with these panels,
// whatever the number of rows: results do not depend on it. Both halves are summed side by side, of half as many rows.
bool AreInHalves(const Plan& plan, const Panels& panels);

// Of a Map that computes nothing but one product: tiles store its sums where they belong, and the next tile need not
// wait for a pass over them. Not where results are in 16 bits or sums go on in several pieces.
void StoreSums(const Plan& plan, const EntryPlan& entry, Kernel& kernel);

// What decides about the code of register tiles, of any number of rows up to the largest.
struct TileShape {
  int columns = 1, lanes = 1, tile_rows = 1;
  std::optional<int64_t> constant_row_stride, constant_depth_stride;  // of the left side, if they are known
  Storage left_storage = Storage::kSame;
  PanelFormat format;
  bool prefetches = false;   // another panel meanwhile
  bool continues = false;    // sums that are there, perhaps
  bool halves = false;       // AreInHalves
  bool accumulates = false;  // adds the sums to what is there, unless an argument says that nothing is
  bool either_way = false;   // an argument says whether the terms are added from the last to the first

  auto operator<=>(const TileShape&) const = default;
};

// Of a chunk of the columns of a product with panels, and of a kProduct.
TileShape TilesOf(const Plan& plan, const EntryPlan& entry, const Kernel& kernel, const MapProduct& product,
                  int columns);
TileShape TilesOf(const Kernel& kernel, int columns);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_TILE_H_
