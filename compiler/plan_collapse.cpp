// compiler/plan_collapse.cpp: merging loop axes.

#include "compiler/plan_collapse.h"

#include <algorithm>

#include "compiler/plan_view.h"

namespace recurve {
namespace {

// The views of a kernel, each with the position of its first row axis and first reduced axis, or -1 without any.
struct Axes {
  View* view;
  int rows;
  int reduced;
};

std::vector<Axes> ViewsOf(Kernel& kernel) {
  int rows = static_cast<int>(kernel.rows.size());
  std::vector<Axes> views;
  for (MapProduct& product : kernel.products) views.push_back({&product.left, 0, -1});
  for (LaneInstruction& instruction : kernel.program) {
    if (!instruction.view.axes.empty()) views.push_back({&instruction.view, 0, rows});
    if (!instruction.index.axes.empty()) views.push_back({&instruction.index, 0, rows});
  }
  for (LaneStore& store : kernel.stores) views.push_back({&store.view, 0, -1});
  if (kernel.kind == KernelKind::kProduct) {
    views.push_back({&kernel.left, 0, rows});
    views.push_back({&kernel.right, -1, 0});
    views.push_back({&kernel.out, 0, -1});
  }
  if (kernel.kind == KernelKind::kScatter) {
    for (View* view : {&kernel.left, &kernel.right, &kernel.out}) views.push_back({view, 0, -1});
  }
  return views;
}

// Merges axis i into axis i + 1 of `extents`, for all views, if each walks both as one.
bool TryMerge(std::vector<Size>& extents, int i, const std::vector<Axes>& views, int Axes::* first) {
  bool outer_is_one = extents[i] == Size{}, inner_is_one = extents[i + 1] == Size{};
  bool possible = std::ranges::all_of(views, [&](const Axes& axes) {
    if (axes.*first < 0 || outer_is_one || inner_is_one) return true;
    const Size& outer = axes.view->axes[axes.*first + i].stride;
    const Size& inner = axes.view->axes[axes.*first + i + 1].stride;
    return outer == inner * extents[i + 1];
  });
  if (!possible) return false;
  for (const Axes& axes : views) {
    int dropped = inner_is_one && !outer_is_one ? i + 1 : i;
    if (axes.*first >= 0) axes.view->axes.erase(axes.view->axes.begin() + axes.*first + dropped);
  }
  extents[i + 1] = extents[i] * extents[i + 1];
  extents.erase(extents.begin() + i);
  return true;
}

// Whether rows of the batch stay [steps][batch][constant] in one axis, which is how members of a team find their own.
bool KeepsBatch(const Size& outer, const Size& inner) {
  auto has_batch = [](const Size& size) { return std::ranges::find(size.axes, "B") != size.axes.end(); };
  if (has_batch(inner)) return outer == Size{} || !outer.axes.empty();
  return !has_batch(outer) || inner.axes.empty();
}

}  // namespace

void CollapseAxes(Kernel& kernel) {
  for (int i = static_cast<int>(kernel.reduced.size()) - 2; i >= 0; --i) {
    TryMerge(kernel.reduced, i, ViewsOf(kernel), &Axes::reduced);
  }
  for (int i = static_cast<int>(kernel.rows.size()) - 2; i >= 0; --i) {
    if (KeepsBatch(kernel.rows[i], kernel.rows[i + 1])) TryMerge(kernel.rows, i, ViewsOf(kernel), &Axes::rows);
  }
  if (!kernel.rows.empty()) return;
  kernel.rows.push_back(Size{});
  for (const Axes& axes : ViewsOf(kernel)) {
    if (axes.rows >= 0) axes.view->axes.insert(axes.view->axes.begin() + axes.rows, {1, Size{0, {}}});
  }
}

}  // namespace recurve
