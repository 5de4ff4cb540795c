// compiler/evaluation.h: a program as it is used once it is trained.
//
// `training(a, b)` is a while a program is trained and b afterwards: of a dropped-out value the value itself. One graph
// says both; `forward` and `backward` are made of it as it stands, `inference` and `step` of what this makes of it.

#ifndef RECURVE_COMPILER_EVALUATION_H_
#define RECURVE_COMPILER_EVALUATION_H_

#include "ir/graph.h"

namespace recurve {

// The second operand in the place of every `training`, also in scan bodies, and nothing that only the first one needed.
// Inputs of the graph stay.
ir::Graph InEvaluation(const ir::Graph& graph);

// Whether there is a `training`, so that the program is not the same afterwards.
bool DiffersInTraining(const ir::Graph& graph);

}  // namespace recurve

#endif  // RECURVE_COMPILER_EVALUATION_H_
