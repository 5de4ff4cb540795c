// bench/grid.cpp: the grid, as rows.

#include "bench/grid.h"

#include <fmt/format.h>

#include <filesystem>

namespace recurve::bench {
namespace {

constexpr std::string_view kCommonCells[] = {"lstm", "gru", "elman"};
constexpr Size kCommonSizes[] = {{50, 32, 128, 128},   {100, 64, 256, 256}, {25, 16, 512, 512},
                                 {25, 32, 1024, 1024}, {50, 8, 1536, 1536}, {25, 16, 2048, 2048},
                                 {100, 1, 64, 64},     {100, 1, 64, 256},   {100, 1, 64, 1024}};
constexpr std::string_view kOwnCells[] = {"layernorm_lstm", "slstm", "peephole_lstm", "gru_reset_before",
                                          "mogrifier_lstm"};
constexpr Size kOwnSizes[] = {{50, 32, 128, 128}, {100, 64, 256, 256}, {25, 16, 512, 512}};
constexpr std::string_view kStreamedCells[] = {"lstm", "gru", "lstm:bf16", "gru:bf16"};
constexpr std::string_view kBf16 = ":bf16";
constexpr int64_t kStreamedUnits[] = {16, 20, 32, 64, 128};

}  // namespace

std::string_view PassName(Pass pass) {
  switch (pass) {
    case Pass::kForward: return "forward";
    case Pass::kBackward: return "backward";
    case Pass::kInference: return "inference";
    case Pass::kStep: return "step";
  }
  return "";
}

std::string SizeText(const Size& size) {
  return fmt::format("{},{},{},{}", size.steps, size.batch, size.inputs, size.units);
}

std::string PointText(const Point& point) { return fmt::format("{}/{}", point.cell, SizeText(point.size)); }

std::vector<Pass> PassesOf(const Point& point) {
  if (point.is_streaming) return {Pass::kStep};
  return {Pass::kForward, Pass::kBackward, Pass::kInference};
}

bool IsStoredInBf16(std::string_view cell) { return cell.ends_with(kBf16); }
std::string_view CellName(std::string_view cell) {
  return IsStoredInBf16(cell) ? cell.substr(0, cell.size() - kBf16.size()) : cell;
}

std::string CellPath(std::string_view cell) {
  return fmt::format("{}/frontend/library/{}.cell", RECURVE_SOURCE_DIR, CellName(cell));
}
bool HasCell(std::string_view cell) { return std::filesystem::exists(CellPath(cell)); }

std::vector<Point> Grid() {
  std::vector<Point> grid;
  auto add = [&](std::string_view cell, const Size& size, bool is_streaming) {
    if (HasCell(cell)) grid.push_back({std::string(cell), size, is_streaming});
  };
  for (std::string_view cell : kCommonCells) {
    for (const Size& size : kCommonSizes) add(cell, size, false);
  }
  for (std::string_view cell : kOwnCells) {
    for (const Size& size : kOwnSizes) add(cell, size, false);
  }
  for (std::string_view cell : kStreamedCells) {
    for (int64_t units : kStreamedUnits) add(cell, {1, 1, 1, units}, true);
  }
  return grid;
}

std::vector<std::string> MissingCells() {
  std::vector<std::string> missing;
  for (std::string_view cell : kOwnCells) {
    if (!HasCell(cell)) missing.emplace_back(cell);
  }
  return missing;
}

}  // namespace recurve::bench
