// compiler/update.cpp: the step of the optimizer's cell, once for each parameter, in one graph.

#include "compiler/update.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "compiler/graph_util.h"
#include "compiler/streaming.h"
#include "compiler/unroll.h"
#include "frontend/frontend.h"
#include "frontend/library.h"
#include "ir/builder.h"

namespace recurve {
namespace {

using ir::Expr;
using ir::Graph;
using ir::NodeId;
using ir::Role;
using ir::Shape;

constexpr char kParameter[] = "p", kGradient[] = "gradient", kLength[] = "length";

int64_t ElementsOf(const Shape& shape) {
  int64_t elements = 1;
  for (const ir::Dim& dim : shape) elements *= dim.extent;
  return elements;
}

std::unexpected<Error> Fail(const OptimizerSource& source, const std::string& flaw) {
  return std::unexpected(Error{fmt::format("optimizer `{}`: {}", source.optimizer, flaw)});
}

std::expected<frontend::Program, Error> LoadOptimizer(const OptimizerSource& source) {
  std::string text = source.source;
  if (text.empty()) {
    std::vector<std::string_view> known;
    for (const frontend::LibraryFile& file : frontend::OptimizerFiles()) {
      known.push_back(file.name.substr(0, file.name.rfind('.')));
      if (known.back() == source.optimizer) text = file.text;
    }
    if (text.empty()) return Fail(source, fmt::format("is not known; there are {}", fmt::join(known, ", ")));
  }
  frontend::LoadResult loaded = frontend::Load(source.optimizer + ".cell", text);
  if (!loaded.program) return std::unexpected(Error{loaded.messages});
  return *std::move(loaded.program);
}

class UpdateBuilder {
 public:
  UpdateBuilder(const Graph& primal, std::span<const std::string> wrt, const OptimizerSource& source)
      : primal_(primal), wrt_(wrt), source_(source) {}

  std::expected<Graph, Error> Build() {
    to_.name = primal_.name;
    auto program = LoadOptimizer(source_);
    if (!program) return std::unexpected(program.error());
    for (NodeId id : primal_.inputs()) {
      const auto& input = primal_[id].As<ir::InputAttr>();
      if (input.role != Role::kParameter || std::ranges::find(wrt_, input.name) == wrt_.end()) continue;
      const Shape flat{ElementsOf(primal_.type(id).shape)};
      gradients_.emplace(input.name, to_.AddInput(input.name + "_adj", Role::kData, flat).id());
      names_.push_back(input.name);
    }
    AddLength();
    for (const std::string& name : names_) {
      if (auto done = AddParameter(*program, name); !done) return std::unexpected(done.error());
    }
    to_.AddOutput(kLength, length_);
    return std::move(to_);
  }

 private:
  void AddLength() {
    Expr squares = ir::Constant(to_, {}, 0);
    for (const std::string& name : names_) {
      Expr gradient = to_.At(gradients_.at(name));
      squares = squares + ir::ReduceSum(gradient * gradient, {0});
    }
    length_ = ir::Sqrt(squares).id();
  }

  std::expected<void, Error> AddParameter(const frontend::Program& program, const std::string& name) {
    const int64_t count = to_.type(gradients_.at(name)).shape[0].extent;
    frontend::BuildResult built = frontend::Build(program, source_.optimizer, {{"N", count}});
    if (!built.graph) return std::unexpected(Error{built.messages});
    const Graph step = Unroll(StreamingOf(*built.graph).step, "B", 1);
    NodeMap map = EmptyMap(step);
    bool has_parameter = false, has_gradient = false;
    for (NodeId id : step.inputs()) {
      const auto& input = step[id].As<ir::InputAttr>();
      const Shape& shape = step.type(id).shape;
      NodeId given = kAbsent;
      if (input.role == Role::kState) {
        const std::string state = input.name.substr(0, input.name.size() - 1);
        if (shape.size() != 2 || shape[1].extent != count)
          return Fail(source_, fmt::format("the state `{}` is no [N]", state));
        has_parameter |= state == kParameter;
        given = to_.AddInput(SlotOf(name, state) + "0", Role::kState, {count}).id();
      } else if (input.name == kGradient) {
        has_gradient = true;
        given = gradients_.at(name);
      } else if (input.role != Role::kData || ElementsOf(shape) != 1) {
        return Fail(source_, fmt::format("`{}` is neither `{}` nor a number", input.name, kGradient));
      } else {
        given = input.name == kLength ? length_ : Setting(input.name);
      }
      map[id] = ir::Reshape(to_.At(given), shape).id();
    }
    if (!has_parameter || !has_gradient) return Fail(source_, "it has no state `p: [N]` or no input `gradient: [N]`");
    CopyAbsent(step, map, to_);
    for (const ir::Output& output : step.outputs()) {
      const std::string state = output.name.substr(0, output.name.size() - 1);
      if (!output.name.ends_with('T') || step.FindInput(state + "0") < 0) continue;
      to_.AddOutput(SlotOf(name, state) + "T", ir::Reshape(to_.At(map[output.node]), {count}).id());
    }
    return {};
  }

  static std::string SlotOf(const std::string& parameter, const std::string& state) {
    return state == kParameter ? parameter : parameter + "." + state;
  }

  NodeId Setting(const std::string& name) {
    const auto [found, is_new] = settings_.emplace(name, kAbsent);
    if (is_new) found->second = to_.AddInput(name, Role::kData, {}).id();
    return found->second;
  }

  const Graph& primal_;
  std::span<const std::string> wrt_;
  const OptimizerSource& source_;
  Graph to_;
  std::vector<std::string> names_;  // of the parameters
  std::map<std::string, NodeId> gradients_, settings_;
  NodeId length_ = kAbsent;
};

}  // namespace

std::expected<ir::Graph, Error> UpdateOf(const ir::Graph& primal, std::span<const std::string> wrt,
                                         const OptimizerSource& source) {
  return UpdateBuilder(primal, wrt, source).Build();
}

}  // namespace recurve
