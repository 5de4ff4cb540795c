// compiler/plan_view.h: sizes and views: what slices, transposes, broadcasts and reshapes do to an address.

#ifndef RECURVE_COMPILER_PLAN_VIEW_H_
#define RECURVE_COMPILER_PLAN_VIEW_H_

#include <optional>

#include "compiler/plan.h"

namespace recurve {

// A row-major view of a whole buffer.
View DenseView(int buffer, const ir::Shape& shape);
bool IsDense(const View& view);
ir::Shape ShapeOf(const View& view);

View SliceOf(View view, int axis, int64_t start, int64_t size);
View TransposeOf(const View& view, const std::vector<int>& axes);
View InverseTransposeOf(const View& view, const std::vector<int>& axes);
View BroadcastOf(const View& view, const ir::Shape& shape, const std::vector<int>& axes);
// Empty when the elements do not lie at regular strides in the new shape.
std::optional<View> ReshapeOf(const View& view, const ir::Shape& shape);
// Whether the shapes differ only in axes of extent 1, so that any view can be reshaped.
bool DifferInOnesOnly(const ir::Shape& a, const ir::Shape& b);
// The view whose first index i is index i + shift of this one.
View ShiftFirst(View view, int64_t shift);
// One index of the first axis, which the view then lacks: `loop` (or the constant 0) plus `shift` plus the size of
// `shift_axis`; a ring takes the index modulo 2.
View IndexFirst(View view, OffsetTerm index);

// A view of a value as one with the axes of `order`, a list of labels; labels that the value lacks have stride 0.
View ByLabels(const View& view, const std::string& labels, const std::string& order);

}  // namespace recurve

#endif  // RECURVE_COMPILER_PLAN_VIEW_H_
