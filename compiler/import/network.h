// compiler/import/network.h: what trained models from elsewhere have in common, and how it is said in our language.
//
// Every importer reads its format into a Network: layers in a row, each with all numbers in our order of gates (LSTM
// i f g o, GRU r z n). `WriteNetwork` turns one into a model in the language and the weights for it. What the language
// cannot say, or nobody has asked for yet, an importer refuses by name.

#ifndef RECURVE_COMPILER_IMPORT_NETWORK_H_
#define RECURVE_COMPILER_IMPORT_NETWORK_H_

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "compiler/import/import.h"
#include "runtime/error.h"

namespace recurve {

// Row-major.
struct Matrix {
  size_t rows = 0, columns = 0;
  std::vector<double> values;

  Matrix Transposed() const;
  // Rows [begin, end).
  Matrix Rows(size_t begin, size_t end) const;
};

// Blocks of `size` rows in the order of `order`.
Matrix Reordered(const Matrix& matrix, size_t size, const std::vector<size_t>& order);

// A formula of `a` in the language, e.g. "tanh(a)".
using Activation = std::string;

enum class CellKind { kRnn, kLstm, kGru, kGruResetBefore };

size_t GatesOf(CellKind kind);  // 1, 4, 3, 3

// One direction of a layer. Gates stand one below the other.
struct Direction {
  Matrix input;                                  // [gates*H, I]
  Matrix state;                                  // [gates*H, R]
  std::vector<double> bias;                      // [gates*H]
  std::vector<double> state_bias;                // GRU: [3*H], added to the product with the state; else empty
  std::optional<Matrix> projection;              // LSTM: [R, H]
  std::vector<double> peephole;                  // LSTM: [3*H], i f o; or empty
  std::vector<double> first_hidden, first_cell;  // where they begin, if not at zero
  Activation gate = "sigmoid(a)", candidate = "tanh(a)", output = "tanh(a)";
  double clip = 0;  // of what goes into activations; 0: none

  size_t hidden(CellKind kind) const { return input.rows / GatesOf(kind); }
};

struct RecurrentLayer {
  CellKind kind = CellKind::kLstm;
  std::optional<Direction> forward, backward;  // one of them, or both
};

struct DenseLayer {
  Matrix weight;  // [O, I]
  std::vector<double> bias;
  Activation activation = "a";
};

struct Layer {
  std::optional<RecurrentLayer> recurrent;
  std::optional<DenseLayer> dense;
};

struct Network {
  std::string name;
  std::string origin;  // for the comment on top: what it was made from
  size_t inputs = 1;
  std::vector<Layer> layers;
  bool adds_input = false;   // the output is what the layers say, and the input
  bool has_lengths = false;  // sequences of different lengths
};

// The model and its weights. Fails, and says at which layer, where sizes do not fit together.
std::expected<Imported, Error> WriteNetwork(const Network& network);

}  // namespace recurve

#endif  // RECURVE_COMPILER_IMPORT_NETWORK_H_
