// bench/grid.h: the points that are measured: which cells, at which sizes, in which passes.

#ifndef RECURVE_BENCH_GRID_H_
#define RECURVE_BENCH_GRID_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace recurve::bench {

enum class Pass : uint8_t { kForward, kBackward, kInference, kStep };
constexpr Pass kPasses[] = {Pass::kForward, Pass::kBackward, Pass::kInference, Pass::kStep};

// "forward" saves what "backward" needs, "inference" does not; "step" is one step of one example for streaming.
std::string_view PassName(Pass pass);

struct Size {
  int64_t steps, batch, inputs, units;
  auto operator<=>(const Size&) const = default;
};
// "50,32,128,128": T, B, I, H.
std::string SizeText(const Size& size);

// A cell of frontend/library, or of a file that is not there yet: then nothing of it is measured.
struct Point {
  std::string cell;  // its name, and ":bf16" where weights are stored so
  Size size;
  bool is_streaming = false;  // only Pass::kStep; otherwise all passes but it
  auto operator<=>(const Point&) const = default;
};
std::string PointText(const Point& point);  // "lstm/50,32,128,128"
std::vector<Pass> PassesOf(const Point& point);

// Weights stored in 16 bits are a cell of their own, "lstm:bf16": the cell without and whether it is one.
std::string_view CellName(std::string_view cell);
bool IsStoredInBf16(std::string_view cell);

std::string CellPath(std::string_view cell);
bool HasCell(std::string_view cell);

// Cells that other libraries have at all sizes, cells that none has at three, and streams.
std::vector<Point> Grid();
// The cells of the grid whose file is missing.
std::vector<std::string> MissingCells();

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_GRID_H_
