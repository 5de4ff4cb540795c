// compiler/plan_view.cpp: arithmetic on sizes and views.

#include "compiler/plan_view.h"

#include <algorithm>
#include <ranges>

namespace recurve {

Size operator*(const Size& a, const Size& b) {
  Size product{a.factor * b.factor, a.axes};
  product.axes.insert(product.axes.end(), b.axes.begin(), b.axes.end());
  std::ranges::sort(product.axes);
  if (product.factor == 0) product.axes.clear();
  return product;
}

Size SizeOf(const ir::Dim& dim) { return dim.is_constant() ? Size{dim.extent, {}} : Size{1, {dim.axis}}; }

Size SizeOf(const ir::Shape& shape) {
  Size size;
  for (const ir::Dim& dim : shape) size = size * SizeOf(dim);
  return size;
}

View DenseView(int buffer, const ir::Shape& shape) {
  View view{.buffer = buffer};
  Size stride;
  for (const ir::Dim& dim : std::views::reverse(shape)) {
    view.axes.push_back({dim, stride});
    stride = stride * SizeOf(dim);
  }
  std::ranges::reverse(view.axes);
  return view;
}

ir::Shape ShapeOf(const View& view) {
  ir::Shape shape;
  for (const ViewAxis& axis : view.axes) shape.push_back(axis.extent);
  return shape;
}

bool IsDense(const View& view) {
  Size stride;
  for (const ViewAxis& axis : std::views::reverse(view.axes)) {
    if (axis.extent == ir::Dim(1)) continue;
    if (axis.stride != stride) return false;
    stride = stride * SizeOf(axis.extent);
  }
  return true;
}

View SliceOf(View view, int axis, int64_t start, int64_t size) {
  if (start != 0) view.offset.push_back({.stride = view.axes[axis].stride, .shift = start});
  view.axes[axis].extent = size;
  return view;
}

View TransposeOf(const View& view, const std::vector<int>& axes) {
  View result = view;
  for (size_t i = 0; i < axes.size(); ++i) result.axes[i] = view.axes[axes[i]];
  return result;
}

View InverseTransposeOf(const View& view, const std::vector<int>& axes) {
  View result = view;
  for (size_t i = 0; i < axes.size(); ++i) result.axes[axes[i]] = view.axes[i];
  return result;
}

View BroadcastOf(const View& view, const ir::Shape& shape, const std::vector<int>& axes) {
  View result = view;
  result.axes.clear();
  for (const ir::Dim& dim : shape) result.axes.push_back({dim, Size{0, {}}});
  for (size_t i = 0; i < axes.size(); ++i) result.axes[axes[i]].stride = view.axes[i].stride;
  return result;
}

bool DifferInOnesOnly(const ir::Shape& a, const ir::Shape& b) {
  auto without_ones = [](ir::Shape shape) {
    std::erase(shape, ir::Dim(1));
    return shape;
  };
  return without_ones(a) == without_ones(b);
}

std::optional<View> ReshapeOf(const View& view, const ir::Shape& shape) {
  if (DifferInOnesOnly(ShapeOf(view), shape)) {
    View result = view;
    result.axes.clear();
    size_t next = 0;
    for (const ir::Dim& dim : shape) {
      if (dim == ir::Dim(1)) {
        result.axes.push_back({dim, Size{0, {}}});
        continue;
      }
      while (view.axes[next].extent == ir::Dim(1)) ++next;
      result.axes.push_back(view.axes[next++]);
    }
    return result;
  }
  if (!IsDense(view)) return std::nullopt;
  View result = DenseView(view.buffer, shape);
  result.offset = view.offset;
  return result;
}

View ShiftFirst(View view, int64_t shift) {
  view.offset.push_back({.stride = view.axes.front().stride, .shift = shift});
  return view;
}

View IndexFirst(View view, OffsetTerm index) {
  index.stride = view.axes.front().stride;
  view.axes.erase(view.axes.begin());
  // Where the axis is a shifted one, the shifts add up.
  auto is_shift = [&](const OffsetTerm& term) {
    return term.stride == index.stride && term.loop < 0 && !term.ring && term.shift_axis.empty();
  };
  for (const OffsetTerm& term : view.offset) index.shift += is_shift(term) ? term.shift : 0;
  std::erase_if(view.offset, is_shift);
  view.offset.push_back(std::move(index));
  return view;
}

View ByLabels(const View& view, const std::string& labels, const std::string& order) {
  View result = view;
  result.axes.clear();
  for (char label : order) {
    size_t at = labels.find(label);
    result.axes.push_back(at == std::string::npos ? ViewAxis{1, Size{0, {}}} : view.axes[at]);
  }
  return result;
}

}  // namespace recurve
