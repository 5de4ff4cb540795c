// compiler/command/summary_text.h: what a program has, computes and needs, as text for people.

#ifndef RECURVE_COMPILER_COMMAND_SUMMARY_TEXT_H_
#define RECURVE_COMPILER_COMMAND_SUMMARY_TEXT_H_

#include <optional>
#include <string>
#include <vector>

#include "compiler/command/command.h"
#include "compiler/compile.h"
#include "compiler/storage_error.h"
#include "compiler/summary.h"

namespace recurve::command {

const char* Name(Precision precision);
const char* Name(Storage storage);

// A formula and, where the sizes of its axes are known and it is one, its value.
struct Figure {
  std::string formula;
  std::optional<double> value;

  std::string Text() const;  // "80*B*T = 480"
};
Figure FigureOf(const Amount& amount, const AxisSizes& sizes);
Figure FigureOf(const MemoryFormula& memory, const AxisSizes& sizes);

// Parameters, state, and each entry's FLOPs, bytes and memory.
std::string SummaryText(const SizedGraph& sized, const CompileOptions& options, const Summary& summary,
                        const std::string& target);

// The object file: bytes of code and data, and the stack of each function.
std::string ObjectText(const Artifacts& artifacts);

// What storing weights in 16 bits does to the outputs, trained weights or drawn ones.
std::string StorageText(Storage store, const std::vector<StorageError>& errors, bool is_trained);

}  // namespace recurve::command

#endif  // RECURVE_COMPILER_COMMAND_SUMMARY_TEXT_H_
