// compiler/storage_error.h: what 16-bit weights do to a program's outputs, measured.

#ifndef RECURVE_COMPILER_STORAGE_ERROR_H_
#define RECURVE_COMPILER_STORAGE_ERROR_H_

#include <expected>
#include <string>
#include <vector>

#include "compiler/compile.h"

namespace recurve {

struct StorageError {
  std::string output;
  double root_mean_square = 0;  // of the difference, relative to that of the output
  double largest = 0;           // difference, relative to the largest output
};

// Runs `inference` on this machine with the weights as they are and in `options.store`, over the same 64 steps of 4
// sequences of normal random numbers. Without weights they are drawn as training would.
std::expected<std::vector<StorageError>, Error> MeasureStorage(const ir::Graph& graph, const CompileOptions& options,
                                                               const WeightFile* weights);

}  // namespace recurve

#endif  // RECURVE_COMPILER_STORAGE_ERROR_H_
