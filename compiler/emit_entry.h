// compiler/emit_entry.h: one entry as code: it fills its frame and walks the statements.

#ifndef RECURVE_COMPILER_EMIT_ENTRY_H_
#define RECURVE_COMPILER_EMIT_ENTRY_H_

#include <vector>

#include "compiler/emit.h"
#include "compiler/emit_kernel.h"

namespace recurve {

// Adds the entry and the function that sizes its workspace. What it calls is declared and returned.
std::vector<PlannedFunction> EmitEntry(EmitModule& emit, const EntryPlan& entry);
// One of the functions that an entry calls.
void EmitPlanned(EmitModule& emit, const PlannedFunction& planned);

}  // namespace recurve

#endif  // RECURVE_COMPILER_EMIT_ENTRY_H_
