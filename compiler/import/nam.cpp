// compiler/import/nam.cpp: Neural Amp Modeler's files, architecture LSTM.
//
// All weights stand in one list: of each layer the matrix [4H, I + H] of input and state side by side (gates i f g o),
// the bias, and the hidden and cell state to begin with; then the head, a row of H and a bias. Source: the LSTM of the
// Neural Amp Modeler's C++ core, whose reader takes them from the list in this order.

#include "compiler/import/json_reader.h"

namespace recurve {
namespace {

// Takes numbers off the front of a list.
class Taker {
 public:
  Taker(std::vector<double> numbers, const JsonPlace& place) : numbers_(std::move(numbers)), place_(place) {}

  std::expected<std::vector<double>, Error> Take(size_t count) {
    if (numbers_.size() - taken_ < count)
      return place_.Fail(fmt::format("has {} numbers, and at least {} are wanted", numbers_.size(), taken_ + count));
    const auto begin = numbers_.begin() + static_cast<ptrdiff_t>(taken_);
    taken_ += count;
    return std::vector<double>(begin, begin + static_cast<ptrdiff_t>(count));
  }
  std::expected<void, Error> End() const {
    if (taken_ == numbers_.size()) return {};
    return place_.Fail(fmt::format("has {} numbers, and {} are wanted", numbers_.size(), taken_));
  }

 private:
  std::vector<double> numbers_;
  size_t taken_ = 0;
  const JsonPlace& place_;
};

std::expected<Direction, Error> ReadLayer(Taker& taker, size_t inputs, size_t hidden) {
  const size_t rows = 4 * hidden, columns = inputs + hidden;
  auto both = taker.Take(rows * columns);
  if (!both) return std::unexpected(both.error());
  Direction direction{.input = {rows, inputs, {}}, .state = {rows, hidden, {}}};
  for (size_t r = 0; r < rows; ++r) {
    const auto row = both->begin() + static_cast<ptrdiff_t>(r * columns);
    const auto middle = row + static_cast<ptrdiff_t>(inputs), end = row + static_cast<ptrdiff_t>(columns);
    direction.input.values.insert(direction.input.values.end(), row, middle);
    direction.state.values.insert(direction.state.values.end(), middle, end);
  }
  std::vector<double>* const parts[] = {&direction.bias, &direction.first_hidden, &direction.first_cell};
  const size_t counts[] = {rows, hidden, hidden};
  for (int part = 0; part < 3; ++part) {
    auto numbers = taker.Take(counts[part]);
    if (!numbers) return std::unexpected(numbers.error());
    *parts[part] = *std::move(numbers);
  }
  return direction;
}

}  // namespace

std::expected<Imported, Error> ImportNam(std::string_view bytes, std::string_view name, const ImportOptions& options) {
  auto json = JsonPlace::Parse(bytes, name);
  if (!json) return std::unexpected(json.error());
  const JsonPlace root(*json, name);
  auto architecture = root.At("architecture");
  auto kind = Then(architecture, [](const JsonPlace& place) { return place.Text(); });
  if (!kind) return std::unexpected(kind.error());
  if (*kind != "LSTM") return architecture->Fail("is not `LSTM`, the one that is recurrent");
  auto config = root.At("config");
  if (!config) return std::unexpected(config.error());
  size_t sizes[3];
  const char* const names[3] = {"input_size", "hidden_size", "num_layers"};
  for (int i = 0; i < 3; ++i) {
    auto size = Then(config->At(names[i]), [](const JsonPlace& place) { return place.Count(); });
    if (!size) return std::unexpected(size.error());
    sizes[i] = *size;
  }
  const auto [inputs, hidden, layers] = sizes;
  auto place = root.At("weights");
  auto numbers = Then(place, [](const JsonPlace& weights) { return weights.Numbers(); });
  if (!numbers) return std::unexpected(numbers.error());

  Network network{.name = options.name,
                  .origin = fmt::format("a model of Neural Amp Modeler, {}", name),
                  .inputs = inputs,
                  .has_lengths = options.has_lengths};
  Taker taker(*std::move(numbers), *place);
  for (size_t layer = 0; layer < layers; ++layer) {
    auto direction = ReadLayer(taker, layer == 0 ? inputs : hidden, hidden);
    if (!direction) return std::unexpected(direction.error());
    network.layers.push_back(
        {.recurrent = RecurrentLayer{.forward = *std::move(direction), .backward = {}}, .dense = {}});
  }
  auto head = taker.Take(hidden), bias = taker.Take(head ? 1 : 0);
  if (!head) return std::unexpected(head.error());
  if (!bias) return std::unexpected(bias.error());
  if (auto end = taker.End(); !end) return std::unexpected(end.error());
  network.layers.push_back({.recurrent = {}, .dense = DenseLayer{.weight = {1, hidden, *head}, .bias = *bias}});
  return WriteNetwork(network);
}

}  // namespace recurve
