// compiler/import/export.cpp: what a scan computes, and names for its weights.

#include "compiler/import/export.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ir/interpreter.h"
#include "runtime/random.h"

namespace recurve {
namespace {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Tensor;
using Tensors = std::map<std::string, Tensor>;

constexpr int64_t kRows = 2;          // of the batch in which a step is tried
constexpr double kAgreement = 1e-12;  // both are computed in double, by some tens of operations
enum class Module { kLstm, kGru, kTanhRnn, kReluRnn };
constexpr std::pair<Module, const char*> kModules[] = {{Module::kLstm, "nn.LSTM"},
                                                       {Module::kGru, "nn.GRU"},
                                                       {Module::kTanhRnn, "nn.RNN"},
                                                       {Module::kReluRnn, "nn.RNN with relu"}};

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// y[r] = sum over c of matrix[r, c] * x[c]
std::vector<double> Multiply(const Tensor& matrix, const double* x) {
  const auto rows = static_cast<size_t>(matrix.shape[0]), columns = static_cast<size_t>(matrix.shape[1]);
  std::vector<double> y(rows);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) y[r] += matrix.values[r * columns + c] * x[c];
  }
  return y;
}

// The next states of one row by PyTorch's formulas; empty where the parameters are not those of the module.
std::map<std::string, std::vector<double>> NextStates(Module module, const Tensors& values, size_t row) {
  const bool is_lstm = module == Module::kLstm, is_gru = module == Module::kGru;
  const size_t gates = is_lstm ? 4 : is_gru ? 3 : 1;
  std::set<std::string> names;
  for (const auto& [name, tensor] : values) names.insert(name);
  std::set<std::string> wanted = {"W", "U", "b", "h", "x"};
  if (is_lstm) wanted.insert("c");
  if (is_gru) wanted.insert("d");
  const bool is_projected = is_lstm && names.contains("P");
  if (is_projected) wanted.insert("P");
  if (names != wanted) return {};
  auto row_of = [&](const std::string& name) {
    const Tensor& tensor = values.at(name);
    return tensor.values.data() + row * static_cast<size_t>(tensor.shape.back());
  };
  const std::vector<double> from_input = Multiply(values.at("W"), row_of("x")),
                            from_state = Multiply(values.at("U"), row_of("h"));
  const std::vector<double>& bias = values.at("b").values;
  const size_t units = from_input.size() / gates;
  if (from_input.size() % gates != 0 || from_state.size() != from_input.size() || bias.size() != from_input.size())
    return {};
  auto sum = [&](size_t gate, size_t i) {
    const size_t at = gate * units + i;
    return from_input[at] + from_state[at] + bias[at];
  };
  std::vector<double> h(units), c(units);
  for (size_t i = 0; i < units; ++i) {
    if (is_lstm) {
      c[i] = Sigmoid(sum(1, i)) * row_of("c")[i] + Sigmoid(sum(0, i)) * std::tanh(sum(2, i));
      h[i] = Sigmoid(sum(3, i)) * std::tanh(c[i]);
    } else if (is_gru) {
      const std::vector<double>& d = values.at("d").values;
      if (d.size() != from_state.size()) return {};
      const double r = Sigmoid(sum(0, i) + d[i]), z = Sigmoid(sum(1, i) + d[units + i]);
      const size_t at = 2 * units + i;
      const double n = std::tanh(from_input[at] + bias[at] + r * (from_state[at] + d[at]));
      h[i] = (1 - z) * n + z * row_of("h")[i];
    } else {
      h[i] = module == Module::kTanhRnn ? std::tanh(sum(0, i)) : std::max(sum(0, i), 0.0);
    }
  }
  if (is_projected) h = Multiply(values.at("P"), h.data());
  std::map<std::string, std::vector<double>> next{{"h", h}};
  if (is_lstm) next["c"] = c;
  return next;
}

// A scan whose parameters are called PREFIX.W, ...
struct Recurrent {
  std::string prefix;
  Module module = Module::kLstm;
  bool is_reverse = false;
};

class Exporter {
 public:
  Exporter(const Graph& model, const WeightFile& weights, const ExportOptions& options)
      : model_(model), weights_(weights), options_(options) {}

  std::expected<WeightFile, Error> Run() {
    for (NodeId id = 0; id < model_.size(); ++id) {
      if (model_[id].op != Op::kScan) continue;
      if (auto done = AddScan(id); !done) return std::unexpected(done.error());
    }
    if (scans_.empty()) return Fail("there is no scan with weights in it");
    std::vector<std::vector<std::string>> stack = options_.stack.empty() ? ImportedStack() : options_.stack;
    for (size_t layer = 0; layer < stack.size(); ++layer) {
      if (auto done = AddLayer(stack[layer], layer, stack[0]); !done) return std::unexpected(done.error());
    }
    for (const auto& [prefix, scan] : scans_) {
      if (stacked_.contains(prefix)) continue;
      if (auto done = AddDirection(scan, prefix + ".", "_l0"); !done) return std::unexpected(done.error());
    }
    for (const auto& [from, to] : options_.rename) {
      if (model_.FindInput(from) < 0 || used_.contains(from))
        return Fail(fmt::format("there is no other parameter `{}` to rename", from));
    }
    for (NodeId id : model_.inputs()) {
      const auto& input = model_[id].As<ir::InputAttr>();
      const bool is_parameter = input.role == ir::Role::kParameter || input.role == ir::Role::kConstant;
      if (!is_parameter || used_.contains(input.name)) continue;
      const auto renamed = options_.rename.find(input.name);
      if (auto done = Copy(input.name, renamed == options_.rename.end() ? OwnName(input.name) : renamed->second); !done)
        return std::unexpected(done.error());
    }
    std::set<std::string> names;
    for (const WeightTensor& tensor : state_.tensors) {
      if (!names.insert(tensor.name).second) return Fail(fmt::format("two tensors would be called `{}`", tensor.name));
    }
    return std::move(state_);
  }

 private:
  using Done = std::expected<void, Error>;

  std::unexpected<Error> Fail(const std::string& flaw) const {
    return std::unexpected(Error{fmt::format("cannot export `{}`: {}", model_.name, flaw)});
  }

  // What Import calls a linear layer is one in PyTorch.
  static std::string OwnName(const std::string& name) {
    if (name.starts_with("dense") && name.ends_with("_W")) return "linear.weight";
    if (name.starts_with("dense") && name.ends_with("_b")) return "linear.bias";
    return name;
  }

  Done AddScan(NodeId id) {
    const auto& attr = model_[id].As<ir::ScanAttr>();
    std::string prefix;
    for (NodeId arg : model_[id].args) {
      const Node& node = model_[arg];
      if (node.op != Op::kInput || node.As<ir::InputAttr>().role != ir::Role::kParameter) continue;
      const std::string& name = node.As<ir::InputAttr>().name;
      if (const size_t dot = name.rfind('.'); dot != std::string::npos) prefix = name.substr(0, dot);
    }
    if (prefix.empty() || scans_.contains(prefix)) return {};
    Recurrent scan{.prefix = prefix, .is_reverse = attr.reverse};
    double closest = INFINITY;
    const char* closest_name = nullptr;
    for (const auto& [module, name] : kModules) {
      const double difference = Difference(*attr.body, attr.carries, module);
      if (difference <= kAgreement) {
        scan.module = module;
        scans_[prefix] = scan;
        return {};
      }
      if (difference < closest) closest = difference, closest_name = name;
    }
    return Fail(fmt::format("`{}` computes what no module of PyTorch does{}", prefix,
                            closest_name == nullptr
                                ? std::string("; those have parameters W, U, b, and a GRU d, a projected LSTM P")
                                : fmt::format("; from {} a step differs by {:.1e}", closest_name, closest)));
  }

  // How far a step is from the module's, on random numbers; infinite where it has other parts.
  static double Difference(const Graph& body, int carries, Module module) {
    Random random(1, StreamOf("export"));
    Tensors values;
    std::vector<Tensor> arguments;
    for (NodeId id : body.inputs()) {
      const auto& input = body[id].As<ir::InputAttr>();
      Tensor tensor = Tensor::Filled(ir::Extents(body.type(id).shape, {{"B", kRows}}), 1);
      // A number a row that says whether it takes the step: it does.
      const bool is_mask = input.role == ir::Role::kElement && tensor.shape.size() == 1;
      for (double& value : tensor.values) value = is_mask ? 1 : random.Normal();
      if (!is_mask) values[input.name] = tensor;
      arguments.push_back(std::move(tensor));
    }
    if (NextStates(module, values, 0).empty()) return INFINITY;
    const std::vector<Tensor> results = ir::Interpret(body, {{"B", kRows}}, arguments);
    double largest = 0;
    for (size_t row = 0; row < kRows; ++row) {
      const auto expected = NextStates(module, values, row);
      for (int k = 0; k < carries; ++k) {
        const std::string& name = body[body.inputs()[k]].As<ir::InputAttr>().name;
        const auto found = expected.find(name);
        if (found == expected.end()) return INFINITY;
        const size_t width = found->second.size();
        if (results[k].values.size() != kRows * width) return INFINITY;
        for (size_t i = 0; i < width; ++i)
          largest = std::max(largest, std::abs(results[k].values[row * width + i] - found->second[i]));
      }
    }
    return largest;
  }

  std::vector<std::vector<std::string>> ImportedStack() const {
    std::vector<std::vector<std::string>> stack;
    for (int layer = 0; scans_.contains(fmt::format("layer{}", layer)); ++layer) {
      stack.push_back({fmt::format("layer{}", layer)});
      const std::string backward = stack.back()[0] + "_reverse";
      if (scans_.contains(backward)) stack.back().push_back(backward);
    }
    return stack;
  }

  Done AddLayer(const std::vector<std::string>& layer, size_t number, const std::vector<std::string>& first) {
    if (layer.size() != first.size() || layer.size() > 2)
      return Fail(fmt::format("layer {} of the stack has {} directions; 1 or 2 are possible, and as many in all layers",
                              number, layer.size()));
    for (size_t d = 0; d < layer.size(); ++d) {
      const auto scan = scans_.find(layer[d]);
      if (scan == scans_.end()) {
        std::vector<std::string> names;
        for (const auto& [name, other] : scans_) names.push_back(name);
        return Fail(fmt::format("there is no scan `{}`, only {}", layer[d], fmt::join(names, ", ")));
      }
      if (!stacked_.insert(layer[d]).second) return Fail(fmt::format("`{}` stands twice in the stack", layer[d]));
      if (scan->second.is_reverse != (d == 1))
        return Fail(fmt::format("`{}` runs {}, which the {} of a layer does not", layer[d],
                                d == 1 ? "forward" : "in reverse", d == 1 ? "second direction" : "first one"));
      if (scan->second.module != scans_.at(first[0]).module)
        return Fail(fmt::format("`{}` and `{}` are not of one kind", first[0], layer[d]));
      const std::string dot = options_.module.empty() ? "" : ".";
      const std::string suffix = fmt::format("_l{}{}", number, d == 1 ? "_reverse" : "");
      if (auto done = AddDirection(scan->second, options_.module + dot, suffix); !done) return done;
    }
    return {};
  }

  Done AddDirection(const Recurrent& scan, const std::string& module, const std::string& suffix) {
    if (auto done = Copy(scan.prefix + ".W", module + "weight_ih" + suffix); !done) return done;
    if (auto done = Copy(scan.prefix + ".U", module + "weight_hh" + suffix); !done) return done;
    if (auto done = Copy(scan.prefix + ".b", module + "bias_ih" + suffix); !done) return done;
    if (scan.module == Module::kGru) return Copy(scan.prefix + ".d", module + "bias_hh" + suffix);
    WeightTensor zeros = state_.tensors.back();
    zeros.name = module + "bias_hh" + suffix;
    std::ranges::fill(zeros.values, 0);
    state_.tensors.push_back(std::move(zeros));
    if (model_.FindInput(scan.prefix + ".P") < 0) return {};
    return Copy(scan.prefix + ".P", module + "weight_hr" + suffix);
  }

  Done Copy(const std::string& from, const std::string& to) {
    const WeightTensor* tensor = weights_.Find(from);
    if (tensor == nullptr) return Fail(fmt::format("the weights have no `{}`", from));
    used_.insert(from);
    state_.tensors.push_back(*tensor);
    state_.tensors.back().name = to;
    return {};
  }

  const Graph& model_;
  const WeightFile& weights_;
  const ExportOptions& options_;
  std::map<std::string, Recurrent> scans_;  // by prefix
  std::set<std::string> stacked_, used_;
  WeightFile state_;
};

}  // namespace

std::expected<WeightFile, Error> ExportPyTorch(const ir::Graph& model, const WeightFile& weights,
                                               const ExportOptions& options) {
  return Exporter(model, weights, options).Run();
}

}  // namespace recurve
