// compiler/import/onnx.cpp: ONNX graphs that are a row of RNN, LSTM and GRU nodes, and what exporters put around them.
//
// The graph is walked in its order, which is one of evaluation. One value is the sequence; a node that takes it is a
// layer, or moves axes around as exporters do between layers, or is refused by name. Nodes on the way to shapes are
// passed over. Gates: LSTM i o f c, GRU z r h; biases of input and state side by side; peepholes i o f. Source: ONNX
// Operators, RNN, LSTM and GRU; onnx.proto3 for the fields.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>

#include "compiler/import/network.h"
#include "compiler/import/onnx_wire.h"

namespace recurve {
namespace {

struct Tensor {
  std::vector<uint64_t> dims;
  std::vector<double> values;
};

struct Attribute {
  float number = 0;
  int64_t integer = 0;
  std::string text;
  std::vector<float> numbers;
  std::vector<int64_t> integers;
  std::vector<std::string> texts;
  std::optional<Tensor> tensor;
};

struct OnnxNode {
  std::string name, type;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, Attribute> attributes;
};

struct OnnxGraph {
  std::vector<OnnxNode> nodes;
  std::map<std::string, Tensor> constants;
  std::vector<std::string> inputs, outputs;
};

// Names come from a file that may hold anything.
std::string Shown(std::string_view name) {
  std::string text;
  for (char c : name.substr(0, 64)) text += c >= ' ' && c != 127 ? c : '?';
  return text;
}

class OnnxParser {
 public:
  explicit OnnxParser(std::string_view file) : file_(file) {}

  std::expected<OnnxGraph, Error> Model(std::string_view bytes) {
    OnnxGraph graph;
    bool has_graph = false;
    auto read = ForEach(bytes, "the model", [&](const WireField& field) -> std::expected<void, Error> {
      if (field.number != 7 || !field.has_bytes) return {};
      has_graph = true;
      return Graph(field.bytes, graph);
    });
    if (!read) return std::unexpected(read.error());
    if (!has_graph) return Fail("has no graph: it is no ONNX model");
    return graph;
  }

 private:
  std::unexpected<Error> Fail(const std::string& flaw) const {
    return std::unexpected(Error{fmt::format("cannot import `{}`: {}", file_, flaw)});
  }

  template <typename Visit>
  std::expected<void, Error> ForEach(std::string_view message, const char* what, const Visit& visit) const {
    WireReader reader(message);
    while (!reader.at_end()) {
      const std::optional<WireField> field = reader.Next();
      if (!field) return Fail(fmt::format("{} is damaged", what));
      if (auto done = visit(*field); !done) return done;
    }
    return {};
  }

  std::expected<void, Error> Graph(std::string_view bytes, OnnxGraph& graph) const {
    return ForEach(bytes, "the graph", [&](const WireField& field) -> std::expected<void, Error> {
      if (!field.has_bytes) return {};
      if (field.number == 1) {
        auto node = Node(field.bytes);
        if (!node) return std::unexpected(node.error());
        graph.nodes.push_back(*std::move(node));
      } else if (field.number == 5) {
        std::string name;
        auto tensor = TensorOf(field.bytes, name);
        if (!tensor) return std::unexpected(tensor.error());
        graph.constants[name] = *std::move(tensor);
      } else if (field.number == 11 || field.number == 12) {
        std::string name;
        auto read =
            ForEach(field.bytes, "an input or output", [&](const WireField& part) -> std::expected<void, Error> {
              if (part.number == 1) name = part.bytes;
              return {};
            });
        if (!read) return read;
        (field.number == 11 ? graph.inputs : graph.outputs).push_back(name);
      }
      return {};
    });
  }

  std::expected<OnnxNode, Error> Node(std::string_view bytes) const {
    OnnxNode node;
    auto read = ForEach(bytes, "a node", [&](const WireField& field) -> std::expected<void, Error> {
      if (!field.has_bytes) return {};
      if (field.number == 1) node.inputs.emplace_back(field.bytes);
      if (field.number == 2) node.outputs.emplace_back(field.bytes);
      if (field.number == 3) node.name = field.bytes;
      if (field.number == 4) node.type = field.bytes;
      if (field.number != 5) return {};
      std::string name;
      auto attribute = AttributeOf(field.bytes, name);
      if (!attribute) return std::unexpected(attribute.error());
      node.attributes[name] = *std::move(attribute);
      return {};
    });
    if (!read) return std::unexpected(read.error());
    return node;
  }

  static float FloatOf(uint64_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits)); }

  // Numbers that a field repeats, one a field or packed into one.
  template <typename T, typename Convert>
  bool Append(const WireField& field, size_t bytes, std::vector<T>& values, const Convert& convert) const {
    if (!field.has_bytes) {
      values.push_back(convert(field.value));
      return true;
    }
    if (bytes == 0) {
      WireReader reader(field.bytes);
      while (!reader.at_end()) {
        const std::optional<uint64_t> value = reader.Varint();
        if (!value) return false;
        values.push_back(convert(*value));
      }
      return true;
    }
    if (field.bytes.size() % bytes != 0) return false;
    for (size_t at = 0; at < field.bytes.size(); at += bytes) {
      uint64_t bits = 0;
      std::memcpy(&bits, field.bytes.data() + at, bytes);
      values.push_back(convert(bits));
    }
    return true;
  }

  std::expected<Attribute, Error> AttributeOf(std::string_view bytes, std::string& name) const {
    Attribute attribute;
    auto read = ForEach(bytes, "an attribute", [&](const WireField& field) -> std::expected<void, Error> {
      auto integer = [](uint64_t bits) { return static_cast<int64_t>(bits); };
      bool is_sound = true;
      switch (field.number) {
        case 1: name = field.bytes; break;
        case 2: attribute.number = FloatOf(field.value); break;
        case 3: attribute.integer = integer(field.value); break;
        case 4: attribute.text = field.bytes; break;
        case 5: {
          std::string unused;
          auto tensor = TensorOf(field.bytes, unused);
          if (!tensor) return std::unexpected(tensor.error());
          attribute.tensor = *std::move(tensor);
          break;
        }
        case 7: is_sound = Append(field, 4, attribute.numbers, FloatOf); break;
        case 8: is_sound = Append(field, 0, attribute.integers, integer); break;
        case 9: attribute.texts.emplace_back(field.bytes); break;
        default: break;
      }
      if (!is_sound) return Fail(fmt::format("the attribute `{}` is damaged", Shown(name)));
      return {};
    });
    if (!read) return std::unexpected(read.error());
    return attribute;
  }

  std::expected<Tensor, Error> TensorOf(std::string_view bytes, std::string& name) const {
    enum : uint64_t { kFloat = 1, kInt64 = 7, kDouble = 11 };
    Tensor tensor;
    uint64_t type = 0;
    std::string_view raw;
    bool is_sound = true, is_external = false;
    auto read = ForEach(bytes, "a tensor", [&](const WireField& field) -> std::expected<void, Error> {
      auto same = [](uint64_t bits) { return bits; };
      auto as_float = [](uint64_t bits) { return static_cast<double>(FloatOf(bits)); };
      auto as_double = [](uint64_t bits) { return std::bit_cast<double>(bits); };
      auto as_integer = [](uint64_t bits) { return static_cast<double>(static_cast<int64_t>(bits)); };
      switch (field.number) {
        case 1: is_sound &= Append(field, 0, tensor.dims, same); break;
        case 2: type = field.value; break;
        case 4: is_sound &= Append(field, 4, tensor.values, as_float); break;
        case 7: is_sound &= Append(field, 0, tensor.values, as_integer); break;
        case 8: name = field.bytes; break;
        case 9: raw = field.bytes; break;
        case 10: is_sound &= Append(field, 8, tensor.values, as_double); break;
        case 14: is_external = field.value != 0; break;
        default: break;
      }
      return {};
    });
    if (!read) return std::unexpected(read.error());
    auto flaw = [&](const char* what) { return Fail(fmt::format("the tensor `{}` {}", Shown(name), what)); };
    if (!is_sound) return flaw("is damaged");
    if (is_external) return flaw("has its numbers in another file");
    // Numbers of other types belong to nothing that is imported; who needs one finds none.
    if (!raw.empty()) {
      WireField field{.bytes = raw, .has_bytes = true};
      if (type == kFloat)
        is_sound = Append(field, 4, tensor.values, [](uint64_t bits) { return static_cast<double>(FloatOf(bits)); });
      if (type == kDouble)
        is_sound = Append(field, 8, tensor.values, [](uint64_t bits) { return std::bit_cast<double>(bits); });
      if (type == kInt64)
        is_sound = Append(field, 8, tensor.values,
                          [](uint64_t bits) { return static_cast<double>(static_cast<int64_t>(bits)); });
      if (!is_sound) return flaw("is damaged");
    }
    if (type != kFloat && type != kDouble && type != kInt64) return Tensor{};
    uint64_t count = 1;
    for (uint64_t dim : tensor.dims) {
      if (dim > tensor.values.size()) return flaw("has fewer numbers than its shape says");
      count *= dim;
      if (count > tensor.values.size()) return flaw("has fewer numbers than its shape says");
    }
    if (count != tensor.values.size()) return flaw("has more numbers than its shape says");
    return tensor;
  }

  std::string_view file_;
};

class OnnxReader {
 public:
  OnnxReader(OnnxGraph graph, std::string_view file, const ImportOptions& options)
      : graph_(std::move(graph)), file_(file) {
    network_.name = options.name;
    network_.origin = fmt::format("an ONNX model, {}", file);
    network_.has_lengths = options.has_lengths;
  }

  std::expected<Imported, Error> Read() {
    for (const std::string& input : graph_.inputs) {
      if (graph_.constants.contains(input)) continue;
      if (sequence_.empty()) sequence_ = input;
    }
    if (sequence_.empty()) return std::unexpected(Flaw("its graph has no input"));
    for (const OnnxNode& node : graph_.nodes) {
      if (auto done = Visit(node); !done) return std::unexpected(done.error());
    }
    if (network_.layers.empty()) return std::unexpected(Flaw("it has no RNN, LSTM or GRU"));
    if (pending_width_ != 0) return std::unexpected(Flaw("both directions are left side by side at its end"));
    if (graph_.outputs.empty() || graph_.outputs.front() != sequence_)
      return std::unexpected(
          Flaw(fmt::format("its first output is not the sequence `{}` that its layers make", Shown(sequence_))));
    const Layer& first = network_.layers.front();
    const Direction* direction =
        first.recurrent ? (first.recurrent->forward ? &*first.recurrent->forward : &*first.recurrent->backward)
                        : nullptr;
    network_.inputs = direction != nullptr ? direction->input.columns : first.dense->weight.columns;
    return WriteNetwork(network_);
  }

 private:
  using Done = std::expected<void, Error>;

  Error Flaw(const std::string& what) const { return Error{fmt::format("cannot import `{}`: {}", file_, what)}; }
  std::unexpected<Error> Fail(const OnnxNode& node, const std::string& what) const {
    return std::unexpected(Flaw(fmt::format("node `{}` ({}): {}", Shown(node.name), Shown(node.type), what)));
  }

  const Tensor* Constant(const OnnxNode& node, size_t input) const {
    if (input >= node.inputs.size() || node.inputs[input].empty()) return nullptr;
    const auto found = graph_.constants.find(node.inputs[input]);
    return found == graph_.constants.end() ? nullptr : &found->second;
  }
  bool Takes(const OnnxNode& node) const { return std::ranges::find(node.inputs, sequence_) != node.inputs.end(); }

  Done Visit(const OnnxNode& node) {
    if (node.outputs.empty()) return Fail(node, "has no output");
    if (node.type == "Constant") {
      const auto value = node.attributes.find("value");
      if (value != node.attributes.end() && value->second.tensor)
        graph_.constants[node.outputs[0]] = *value->second.tensor;
      return {};
    }
    if (!Takes(node) || node.type == "Shape") {
      if (node.type == "ConstantOfShape") zeros_.insert(node.outputs[0]);
      const bool keeps_zero = node.type == "Expand" || node.type == "Unsqueeze" || node.type == "Tile";
      if (keeps_zero && IsZero(node.inputs.empty() ? "" : node.inputs[0])) zeros_.insert(node.outputs[0]);
      return {};  // on the way to a shape, or of no consequence: who takes its output says so
    }
    if (node.type == "RNN" || node.type == "LSTM" || node.type == "GRU") return Recurrent(node);
    if (node.type == "Squeeze" || node.type == "Identity" || node.type == "Transpose" || node.type == "Reshape" ||
        node.type == "Cast" || node.type == "Dropout")
      return Move(node);
    if (node.type == "MatMul" || node.type == "Gemm") return Product(node);
    if (node.type == "Add") return Bias(node);
    if (node.type == "Tanh" || node.type == "Relu" || node.type == "Sigmoid" || node.type == "Softmax")
      return Activate(node);
    return Fail(node, "is not known");
  }

  bool IsZero(const std::string& name) const {
    if (zeros_.contains(name)) return true;
    const auto found = graph_.constants.find(name);
    return found != graph_.constants.end() && !found->second.values.empty() &&
           std::ranges::all_of(found->second.values, [](double value) { return value == 0; });
  }

  Done Move(const OnnxNode& node) {
    // Of two directions side by side the axes are moved and then joined, whatever exporters call it.
    if (node.type == "Reshape") pending_width_ = 0;
    if (node.type == "Squeeze" && pending_width_ > 1) return Fail(node, "two directions can't be one");
    if (node.type == "Squeeze") pending_width_ = 0;
    sequence_ = node.outputs[0];
    return {};
  }

  Done Activate(const OnnxNode& node) {
    if (network_.layers.empty() || !network_.layers.back().dense || network_.layers.back().dense->activation != "a")
      return Fail(node, "stands behind no linear layer");
    std::string name = node.type;
    std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
    network_.layers.back().dense->activation = name + "(a)";
    sequence_ = node.outputs[0];
    return {};
  }

  Done Product(const OnnxNode& node) {
    const Tensor* weight = Constant(node, 1);
    if (weight == nullptr || weight->dims.size() != 2 || node.inputs[0] != sequence_)
      return Fail(node, "is no product with a constant matrix on its right");
    Matrix matrix{weight->dims[0], weight->dims[1], weight->values};
    const auto transposed = node.attributes.find("transB");
    DenseLayer dense{.weight = transposed != node.attributes.end() && transposed->second.integer != 0
                                   ? matrix
                                   : matrix.Transposed()};
    for (const char* scale : {"alpha", "beta"}) {
      const auto found = node.attributes.find(scale);
      if (found != node.attributes.end() && found->second.number != 1)
        return Fail(node, fmt::format("`{}` is not 1", scale));
    }
    if (const Tensor* bias = Constant(node, 2)) dense.bias = bias->values;
    network_.layers.push_back({.recurrent = {}, .dense = std::move(dense)});
    sequence_ = node.outputs[0];
    return {};
  }

  Done Bias(const OnnxNode& node) {
    const Tensor* bias = Constant(node, 0) != nullptr ? Constant(node, 0) : Constant(node, 1);
    const bool fits = bias != nullptr && !network_.layers.empty() && network_.layers.back().dense &&
                      network_.layers.back().dense->bias.empty();
    if (!fits) return Fail(node, "is no bias of a linear layer");
    network_.layers.back().dense->bias = bias->values;
    sequence_ = node.outputs[0];
    return {};
  }

  Done Recurrent(const OnnxNode& node) {
    const CellKind kind = node.type == "RNN" ? CellKind::kRnn : node.type == "LSTM" ? CellKind::kLstm : CellKind::kGru;
    static const std::set<std::string> known = {"activation_alpha",    "activation_beta", "activations",  "clip",
                                                "direction",           "hidden_size",     "input_forget", "layout",
                                                "linear_before_reset", "output_sequence"};
    for (const auto& [name, attribute] : node.attributes) {
      if (!known.contains(name)) return Fail(node, fmt::format("the attribute `{}` is not known", Shown(name)));
      const bool is_finite = std::isfinite(attribute.number) &&
                             std::ranges::all_of(attribute.numbers, [](float x) { return std::isfinite(x); });
      if (!is_finite) return Fail(node, fmt::format("the attribute `{}` has a number that is not finite", name));
    }
    if (Integer(node, "input_forget") != 0) return Fail(node, "`input_forget` couples gates, which is not known");
    if (node.inputs.empty() || node.inputs[0] != sequence_)
      return Fail(node, "does not take the sequence as its input");
    const Tensor* tensors[3] = {Constant(node, 1), Constant(node, 2), Constant(node, 3)};
    if (tensors[0] == nullptr || tensors[1] == nullptr) return Fail(node, "its weights `W` and `R` are no constants");
    if (tensors[0]->dims.size() != 3 || tensors[1]->dims.size() != 3)
      return Fail(node, "`W` and `R` are not of rank 3");
    if (tensors[2] == nullptr && node.inputs.size() > 3 && !node.inputs[3].empty())
      return Fail(node, "its bias `B` is no constant");
    if (node.inputs.size() > 4 && !node.inputs[4].empty()) network_.has_lengths = true;  // sequence_lens
    for (size_t state : {size_t{5}, size_t{6}}) {
      if (state < node.inputs.size() && !node.inputs[state].empty() && !IsZero(node.inputs[state]))
        return Fail(node, fmt::format("`{}` is not zero", state == 5 ? "initial_h" : "initial_c"));
    }
    const Tensor* peephole = Constant(node, 7);
    const std::string direction = Text(node, "direction", "forward");
    const size_t count = direction == "bidirectional" ? 2 : 1;
    if (direction != "forward" && direction != "reverse" && count == 1) return Fail(node, "`direction` is not known");
    if (tensors[0]->dims[0] != count || tensors[1]->dims[0] != count ||
        (tensors[2] != nullptr && tensors[2]->values.size() % count != 0))
      return Fail(node, "its weights are for another number of directions");

    RecurrentLayer layer{.kind = kind, .forward = {}, .backward = {}};
    if (kind == CellKind::kGru && Integer(node, "linear_before_reset") == 0) layer.kind = CellKind::kGruResetBefore;
    for (size_t d = 0; d < count; ++d) {
      auto read = ReadDirection(node, layer.kind, tensors, peephole, d, count);
      if (!read) return std::unexpected(read.error());
      (direction == "reverse" || d == 1 ? layer.backward : layer.forward) = *std::move(read);
    }
    network_.layers.push_back({.recurrent = std::move(layer), .dense = {}});
    pending_width_ = count;
    sequence_ = node.outputs[0];
    if (sequence_.empty()) return Fail(node, "its whole sequence `Y` is not wanted, and nothing else is imported");
    return {};
  }

  std::expected<Direction, Error> ReadDirection(const OnnxNode& node, CellKind kind, const Tensor* const (&tensors)[3],
                                                const Tensor* peephole, size_t d, size_t count) const {
    auto part = [&](const Tensor& tensor) {
      Matrix matrix{tensor.dims[1], tensor.dims[2], {}};
      const auto begin = tensor.values.begin() + static_cast<ptrdiff_t>(d * matrix.rows * matrix.columns);
      matrix.values.assign(begin, begin + static_cast<ptrdiff_t>(matrix.rows * matrix.columns));
      return matrix;
    };
    Direction direction{.input = part(*tensors[0]), .state = part(*tensors[1])};
    const size_t gates = GatesOf(kind), rows = direction.input.rows, hidden = rows / gates;
    if (hidden == 0 || rows % gates != 0 || direction.state.rows != rows)
      return Fail(node, "`W` and `R` do not fit together");
    const std::vector<size_t> order = kind == CellKind::kRnn    ? std::vector<size_t>{0}
                                      : kind == CellKind::kLstm ? std::vector<size_t>{0, 2, 3, 1}
                                                                : std::vector<size_t>{1, 0, 2};
    direction.input = Reordered(direction.input, hidden, order);
    direction.state = Reordered(direction.state, hidden, order);
    std::vector<double> biases[2] = {std::vector<double>(rows), std::vector<double>(rows)};
    if (tensors[2] != nullptr) {
      if (tensors[2]->values.size() != count * 2 * rows) return Fail(node, "`B` has another number of biases");
      for (size_t b = 0; b < 2; ++b) {
        const auto begin = tensors[2]->values.begin() + static_cast<ptrdiff_t>((2 * d + b) * rows);
        biases[b] = Reordered({rows, 1, {begin, begin + static_cast<ptrdiff_t>(rows)}}, hidden, order).values;
      }
    }
    direction.bias = biases[0];
    if (kind == CellKind::kGru) {
      direction.state_bias = biases[1];
    } else {
      for (size_t i = 0; i < rows; ++i) direction.bias[i] += biases[1][i];
    }
    if (peephole != nullptr) {
      if (kind != CellKind::kLstm || peephole->values.size() != count * 3 * hidden)
        return Fail(node, "`P` does not fit");
      const auto begin = peephole->values.begin() + static_cast<ptrdiff_t>(d * 3 * hidden);
      direction.peephole =
          Reordered({3 * hidden, 1, {begin, begin + static_cast<ptrdiff_t>(3 * hidden)}}, hidden, {0, 2, 1}).values;
    }
    if (const auto clip = node.attributes.find("clip"); clip != node.attributes.end())
      direction.clip = clip->second.number;
    if (auto done = SetActivations(node, kind, d, count, direction); !done) return std::unexpected(done.error());
    return direction;
  }

  // The functions of a direction: of an LSTM gates, candidate and output, of a GRU gates and candidate, of an RNN one.
  Done SetActivations(const OnnxNode& node, CellKind kind, size_t d, size_t count, Direction& direction) const {
    const auto found = node.attributes.find("activations");
    if (found == node.attributes.end()) return {};
    std::vector<Activation*> places = {&direction.gate, &direction.candidate, &direction.output};
    if (kind == CellKind::kRnn) places = {&direction.candidate};
    if (kind == CellKind::kGru || kind == CellKind::kGruResetBefore) places.pop_back();
    const std::vector<std::string>& names = found->second.texts;
    if (names.size() != count * places.size())
      return Fail(node, fmt::format("`activations` are {} and not {}", names.size(), count * places.size()));
    // Numbers stand in a row for those functions that take some.
    size_t alphas = 0, betas = 0;
    for (size_t i = 0; i < names.size(); ++i) {
      auto formula = Formula(node, names[i], alphas, betas);
      if (!formula) return std::unexpected(formula.error());
      if (i / places.size() == d) *places[i % places.size()] = *std::move(formula);
    }
    return {};
  }

  std::expected<Activation, Error> Formula(const OnnxNode& node, const std::string& name, size_t& alphas,
                                           size_t& betas) const {
    auto next = [&](const char* list, size_t& at, double otherwise) {
      const auto found = node.attributes.find(list);
      const bool is_there = found != node.attributes.end() && at < found->second.numbers.size();
      const double value = is_there ? found->second.numbers[at] : otherwise;
      ++at;
      return fmt::format("({:.9g})", value);
    };
    auto alpha = [&](double otherwise) { return next("activation_alpha", alphas, otherwise); };
    auto beta = [&](double otherwise) { return next("activation_beta", betas, otherwise); };
    if (name == "Tanh") return "tanh(a)";
    if (name == "Sigmoid") return "sigmoid(a)";
    if (name == "Relu") return "relu(a)";
    if (name == "Softplus") return "softplus(a)";
    if (name == "Softsign") return "((a) / (1 + abs(a)))";
    if (name == "Affine") return fmt::format("({} * (a) + {})", alpha(1), beta(0));
    if (name == "LeakyRelu") return fmt::format("select((a) < 0, {} * (a), a)", alpha(0.01));
    if (name == "ThresholdedRelu") return fmt::format("select((a) > {}, a, 0 * (a))", alpha(1));
    if (name == "ScaledTanh") return fmt::format("({} * tanh({} * (a)))", alpha(1), beta(1));
    if (name == "HardSigmoid") return fmt::format("min(max({} * (a) + {}, 0), 1)", alpha(0.2), beta(0.5));
    if (name == "Elu") return fmt::format("select((a) < 0, {} * expm1(a), a)", alpha(1));
    return Fail(node, fmt::format("the activation `{}` is not known", Shown(name)));
  }

  static int64_t Integer(const OnnxNode& node, const std::string& name) {
    const auto found = node.attributes.find(name);
    return found == node.attributes.end() ? 0 : found->second.integer;
  }
  static std::string Text(const OnnxNode& node, const std::string& name, const std::string& otherwise) {
    const auto found = node.attributes.find(name);
    return found == node.attributes.end() ? otherwise : found->second.text;
  }

  OnnxGraph graph_;
  std::string_view file_;
  Network network_;
  std::string sequence_;      // the value that is the sequence, so far
  size_t pending_width_ = 0;  // directions that stand on an axis of their own
  std::set<std::string> zeros_;
};

}  // namespace

std::expected<Imported, Error> ImportOnnx(std::string_view bytes, std::string_view name, const ImportOptions& options) {
  auto graph = OnnxParser(name).Model(bytes);
  if (!graph) return std::unexpected(graph.error());
  return OnnxReader(*std::move(graph), name, options).Read();
}

}  // namespace recurve
