// compiler/command/model.h: a model and its data, as the verbs train, sample and forecast need them.
//
// What was learned from the data before training (the characters of a text, the scale of a series) and the numbers of
// the extents are kept in the weight file's metadata, so that a trained model needs no more than its weights and its
// source.

#ifndef RECURVE_COMPILER_COMMAND_MODEL_H_
#define RECURVE_COMPILER_COMMAND_MODEL_H_

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "compiler/command/command.h"
#include "compiler/compile.h"
#include "runtime/parameters.h"
#include "runtime/series_data.h"
#include "runtime/text_data.h"
#include "runtime/weights.h"

namespace recurve::command {

// Keys of the metadata.
inline constexpr char kEntryKey[] = "entry", kExtentsKey[] = "extents", kVocabularyKey[] = "vocabulary",
                      kStandardizationKey[] = "standardization", kSourceKey[] = "source", kTargetKey[] = "target",
                      kLengthKey[] = "length", kHeldOutKey[] = "held_out";

// The extent that a text determines: how many different characters it has.
inline constexpr char kVocabularyExtent[] = "V";
// Of pairs: tokens of a target that is a sequence, or classes.
inline constexpr char kTargetExtent[] = "W", kClassesExtent[] = "C";

std::string FormatExtents(const frontend::Extents& extents);

// Builds and compiles an entry for this machine; gradients are those of its parameters. A limit of memory without sizes
// is for `length` steps of `batch` sequences.
struct TrainingSizes {
  size_t length = 1, batch = 1;
};
std::expected<Program, int> CompileModel(const ProgramArguments& arguments, const frontend::Extents& extents,
                                         CompileOptions options, TrainingSizes sizes = {});

// The numbers that weights were trained with; those of the command line replace them.
std::expected<frontend::Extents, int> ExtentsOfTraining(const ProgramArguments& arguments, const WeightFile& weights);

struct TrainedModel {
  std::shared_ptr<Parameters> parameters;
  WeightFile weights;
  // A number of the metadata, or `otherwise`.
  double Number(const std::string& key, double otherwise) const;
};
// Compiles the entry for the extents that the weights were trained with (`-D` overrides them) and restores the weights.
std::expected<TrainedModel, int> LoadTrainedModel(const ProgramArguments& arguments, const std::string& weights,
                                                  Storage store);

}  // namespace recurve::command

#endif  // RECURVE_COMPILER_COMMAND_MODEL_H_
