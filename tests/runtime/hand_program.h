// tests/runtime/hand_program.h: programs as the compiler would make them, written by hand.
//
// An Elman network with a linear readout, h' = tanh(W x + U h + b), y = P h' + p, in two models: `series` reads real
// vectors and has a mean squared error, `characters` reads tokens and has a mean cross-entropy. Entries read the
// parameters from the packed form only, so a stale packed form shows; inference has no loss; forward divides the batch
// among a team.

#ifndef RECURVE_TESTS_RUNTIME_HAND_PROGRAM_H_
#define RECURVE_TESTS_RUNTIME_HAND_PROGRAM_H_

#include "runtime/program.h"

namespace recurve::test {

// series: axes T, B; x [T, B, 1], target [T, B, 1], outputs prediction, encoder.hT and loss; hidden extent 8.
const recurve_program& SeriesProgram(ElementType element);
// characters: tokens int[T, B], target int[T, B], outputs logits [T, B, 5], encoder.hT and loss; hidden extent 12.
const recurve_program& CharacterProgram(ElementType element);

Program Wrapped(const recurve_program& program);

}  // namespace recurve::test

#endif  // RECURVE_TESTS_RUNTIME_HAND_PROGRAM_H_
