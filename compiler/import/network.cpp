// compiler/import/network.cpp: a network as text, with numbers for all extents, and its weights by name.

#include "compiler/import/network.h"

#include <fmt/format.h>

#include <cctype>
#include <iterator>
#include <utility>

namespace recurve {

Matrix Matrix::Transposed() const {
  Matrix result{columns, rows, std::vector<double>(values.size())};
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) result.values[c * rows + r] = values[r * columns + c];
  }
  return result;
}

Matrix Matrix::Rows(size_t begin, size_t end) const {
  return {end - begin, columns,
          std::vector<double>(values.begin() + static_cast<ptrdiff_t>(begin * columns),
                              values.begin() + static_cast<ptrdiff_t>(end * columns))};
}

Matrix Reordered(const Matrix& matrix, size_t size, const std::vector<size_t>& order) {
  Matrix result{0, matrix.columns, {}};
  for (size_t block : order) {
    const Matrix rows = matrix.Rows(block * size, (block + 1) * size);
    result.values.insert(result.values.end(), rows.values.begin(), rows.values.end());
    result.rows += size;
  }
  return result;
}

size_t GatesOf(CellKind kind) {
  switch (kind) {
    case CellKind::kRnn: return 1;
    case CellKind::kLstm: return 4;
    case CellKind::kGru:
    case CellKind::kGruResetBefore: return 3;
  }
  return 0;
}

namespace {

// `formula` with `argument` for every `a` that stands alone.
std::string Apply(const Activation& formula, const std::string& argument) {
  if (formula == "a") return argument;
  std::string text;
  for (size_t i = 0; i < formula.size(); ++i) {
    auto is_letter = [&](size_t at) {
      return at < formula.size() && std::isalpha(static_cast<unsigned char>(formula[at]));
    };
    const bool alone = formula[i] == 'a' && !is_letter(i + 1) && (i == 0 || !is_letter(i - 1));
    text += alone ? argument : std::string(1, formula[i]);
  }
  return text;
}

class NetworkWriter {
 public:
  explicit NetworkWriter(const Network& network) : network_(network), width_(network.inputs) {}

  std::expected<Imported, Error> Write() {
    value_ = "x";
    for (size_t i = 0; i < network_.layers.size(); ++i) {
      number_ = i;
      const Layer& layer = network_.layers[i];
      const std::string flaw = layer.recurrent ? Recurrent(*layer.recurrent) : Dense(*layer.dense);
      if (!flaw.empty()) return std::unexpected(Error{fmt::format("layer {} of `{}`: {}", i, network_.name, flaw)});
    }
    if (network_.adds_input) {
      if (width_ != network_.inputs) {
        return std::unexpected(
            Error{fmt::format("`{}` adds its input of {} to an output of {}", network_.name, network_.inputs, width_)});
      }
      value_ += " + x";
    }
    Imported imported{.entry = network_.name, .source = {}, .weights = std::move(weights_)};
    imported.source =
        fmt::format("# Made from {}.\n{}model {}() {{\n  input x: [{}] over T{}\n{}\n{}  output y = {}\n}}\n",
                    network_.origin, cells_, network_.name, network_.inputs, network_.has_lengths ? " by lengths" : "",
                    parameters_, equations_, value_);
    return imported;
  }

 private:
  template <typename... Values>
  static void Add(std::string& text, fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(text), format, std::forward<Values>(values)...);
  }

  void Tensor(const std::string& name, std::vector<uint64_t> shape, std::vector<double> values) {
    weights_.tensors.push_back({name, std::move(shape), ElementType::kF64, std::move(values)});
  }
  void Tensor(const std::string& name, const Matrix& matrix) {
    Tensor(name, {matrix.rows, matrix.columns}, matrix.values);
  }
  void Tensor(const std::string& name, const std::vector<double>& values) { Tensor(name, {values.size()}, values); }

  // What is wrong with a direction's sizes; nothing if they fit.
  std::string FlawOf(CellKind kind, const Direction& direction) const {
    const size_t gates = GatesOf(kind), hidden = direction.hidden(kind);
    const size_t outputs = direction.projection ? direction.projection->rows : hidden;
    auto has = [](size_t seen, size_t wanted, const char* what) {
      return seen == wanted ? "" : fmt::format("{} has {} numbers and not {}", what, seen, wanted);
    };
    if (hidden == 0 || direction.input.rows != gates * hidden)
      return fmt::format("{} rows of input weights are not {} gates of one size", direction.input.rows, gates);
    if (direction.input.columns != width_)
      return fmt::format("takes {} inputs, and {} come to it", direction.input.columns, width_);
    if (direction.state.rows != gates * hidden || direction.state.columns != outputs)
      return fmt::format("recurrent weights are [{}, {}] and not [{}, {}]", direction.state.rows,
                         direction.state.columns, gates * hidden, outputs);
    if (direction.projection && (kind != CellKind::kLstm || direction.projection->columns != hidden))
      return "the projection does not fit the cell";
    std::string flaw = has(direction.bias.size(), gates * hidden, "the bias");
    if (flaw.empty() && !direction.state_bias.empty())
      flaw = has(direction.state_bias.size(), gates * hidden, "the recurrent bias");
    if (flaw.empty() && !direction.peephole.empty()) flaw = has(direction.peephole.size(), 3 * hidden, "the peephole");
    if (flaw.empty() && !direction.first_hidden.empty())
      flaw = has(direction.first_hidden.size(), outputs, "the first state");
    if (flaw.empty() && !direction.first_cell.empty())
      flaw = has(direction.first_cell.size(), hidden, "the first cell state");
    return flaw;
  }

  std::string Recurrent(const RecurrentLayer& layer) {
    std::vector<std::string> outputs;
    size_t width = 0;
    for (const auto* direction : {&layer.forward, &layer.backward}) {
      if (!*direction) continue;
      if (std::string flaw = FlawOf(layer.kind, **direction); !flaw.empty()) return flaw;
      const bool reverse = direction == &layer.backward;
      const std::string name = fmt::format("layer{}{}", number_, reverse ? "_reverse" : "");
      WriteCell(layer.kind, **direction, name);
      Add(equations_, "  {} = {}scan {}_cell() over {}\n", name, reverse ? "reverse " : "", name, value_);
      outputs.push_back(name);
      width += (*direction)->projection ? (*direction)->projection->rows : (*direction)->hidden(layer.kind);
    }
    value_ = outputs.size() == 1 ? outputs[0] : fmt::format("layer{}_both", number_);
    if (outputs.size() == 2) Add(equations_, "  {} = concat({}, {})\n", value_, outputs[0], outputs[1]);
    width_ = width;
    return "";
  }

  void WriteCell(CellKind kind, const Direction& direction, const std::string& name) {
    const size_t gates = GatesOf(kind), hidden = direction.hidden(kind), inputs = direction.input.columns;
    const size_t outputs = direction.projection ? direction.projection->rows : hidden;
    Add(cells_, "cell {}_cell() {{\n  input x: [{}]\n", name, inputs);
    State(name, "h", outputs, direction.first_hidden);
    if (kind == CellKind::kLstm) State(name, "c", hidden, direction.first_cell);
    Add(cells_, "  param W: [{0}, {1}], U: [{0}, {2}], b: [{0}]\n", gates * hidden, inputs, outputs);
    Tensor(name + ".W", direction.input);
    Tensor(name + ".U", direction.state);
    Tensor(name + ".b", direction.bias);
    if (!direction.state_bias.empty()) {
      Add(cells_, "  param d: [{}]\n", gates * hidden);
      Tensor(name + ".d", direction.state_bias);
    }
    if (direction.projection) {
      Add(cells_, "  param P: [{}, {}]\n", outputs, hidden);
      Tensor(name + ".P", *direction.projection);
    }
    if (!direction.peephole.empty()) {
      Add(cells_, "  param p: [{}]\n", 3 * hidden);
      Tensor(name + ".p", direction.peephole);
    }
    auto clipped = [&](const std::string& value) {
      return direction.clip > 0 ? fmt::format("min(max({}, (-{:.9g})), {:.9g})", value, direction.clip, direction.clip)
                                : value;
    };
    auto gate = [&](const std::string& value) { return Apply(direction.gate, clipped(value)); };
    auto candidate = [&](const std::string& value) { return Apply(direction.candidate, clipped(value)); };
    switch (kind) {
      case CellKind::kRnn: Add(cells_, "  h' = {}\n", candidate("(W @ x + U @ h + b)")); break;
      case CellKind::kLstm: WriteLstm(direction, gate, candidate); break;
      case CellKind::kGru:
      case CellKind::kGruResetBefore: WriteGru(kind, direction, gate, candidate); break;
    }
    Add(cells_, "  output h'\n}}\n\n");
  }

  void State(const std::string& name, const char* state, size_t size, const std::vector<double>& first) {
    if (first.empty()) {
      Add(cells_, "  state {}: [{}]\n", state, size);
      return;
    }
    Add(cells_, "  state {0}: [{1}] = {0}_first\n  param {0}_first: [{1}]\n", state, size);
    Tensor(fmt::format("{}.{}_first", name, state), first);
  }

  void WriteLstm(const Direction& direction, const auto& gate, const auto& candidate) {
    Add(cells_, "  i, f, g, o = split(W @ x + U @ h + b, 4)\n");
    std::string i = "i", f = "f", o = "o";
    if (!direction.peephole.empty()) {
      Add(cells_, "  pi, pf, po = split(p, 3)\n");
      i = "(i + pi * c)", f = "(f + pf * c)", o = "(o + po * c')";
    }
    Add(cells_, "  c' = {} * c + {} * {}\n", gate(f), gate(i), candidate("g"));
    const std::string hidden = fmt::format("{} * {}", gate(o), Apply(direction.output, "c'"));
    Add(cells_, "  h' = {}\n", direction.projection ? fmt::format("P @ ({})", hidden) : hidden);
  }

  void WriteGru(CellKind kind, const Direction& direction, const auto& gate, const auto& candidate) {
    const size_t hidden = direction.hidden(kind);
    Add(cells_, "  xr, xz, xn = split(W @ x + b, 3)\n");
    if (kind == CellKind::kGru) {
      Add(cells_, "  hr, hz, hn = split(U @ h{}, 3)\n", direction.state_bias.empty() ? "" : " + d");
      Add(cells_, "  r = {}\n  z = {}\n  n = {}\n", gate("(xr + hr)"), gate("(xz + hz)"), candidate("(xn + r * hn)"));
    } else {
      Add(cells_, "  hr, hz = split(U[0:{}, :] @ h, 2)\n", 2 * hidden);
      Add(cells_, "  r = {}\n  z = {}\n", gate("(xr + hr)"), gate("(xz + hz)"));
      Add(cells_, "  n = {}\n", candidate(fmt::format("(xn + U[{}:, :] @ (r * h))", 2 * hidden)));
    }
    Add(cells_, "  h' = (1 - z) * n + z * h\n");
  }

  std::string Dense(const DenseLayer& layer) {
    if (layer.weight.columns != width_)
      return fmt::format("takes {} inputs, and {} come to it", layer.weight.columns, width_);
    if (!layer.bias.empty() && layer.bias.size() != layer.weight.rows)
      return fmt::format("the bias has {} numbers and not {}", layer.bias.size(), layer.weight.rows);
    const std::string name = fmt::format("dense{}", number_);
    Add(parameters_, "  param {}_W: [{}, {}]", name, layer.weight.rows, layer.weight.columns);
    Tensor(name + "_W", layer.weight);
    if (!layer.bias.empty()) {
      Add(parameters_, ", {}_b: [{}]", name, layer.bias.size());
      Tensor(name + "_b", layer.bias);
    }
    parameters_ += "\n";
    const std::string product = layer.bias.empty() ? fmt::format("({}_W @ {})", name, value_)
                                                   : fmt::format("({0}_W @ {1} + {0}_b)", name, value_);
    Add(equations_, "  {} = {}\n", name, Apply(layer.activation, product));
    value_ = name;
    width_ = layer.weight.rows;
    return "";
  }

  const Network& network_;
  size_t width_;       // of `value_`
  std::string value_;  // the name of what the layers so far compute
  size_t number_ = 0;
  std::string cells_, parameters_, equations_;
  WeightFile weights_;
};

}  // namespace

std::expected<Imported, Error> WriteNetwork(const Network& network) { return NetworkWriter(network).Write(); }

}  // namespace recurve
