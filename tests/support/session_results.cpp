// tests/support/session_results.cpp: as the header says.

#include "tests/support/session_results.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ostream>

namespace recurve {

void PrintTo(const Sizes& sizes, std::ostream* out) {
  *out << fmt::format("{}_{}_{}_{}", sizes.inputs, sizes.units, sizes.steps, sizes.batch);
}

void FillArguments(Session& session, uint64_t seed) {
  uint64_t stream = seed;
  for (const recurve_slot* slot : session.tensors()) {
    bool given =
        slot->kind == RECURVE_SLOT_INPUT || slot->kind == RECURVE_SLOT_STATE || slot->kind == RECURVE_SLOT_ADJOINT;
    if (!given || slot->is_index) continue;
    auto values = session.Tensor<float>(slot->name);
    ASSERT_TRUE(values) << values.error().message;
    for (float& value : *values) {
      stream = stream * 6364136223846793005u + 1442695040888963407u;
      value = static_cast<float>(static_cast<double>(stream >> 40) / (1 << 24)) - 0.5f;
    }
  }
}

std::map<std::string, std::vector<double>> Results(Session& session) {
  EXPECT_TRUE(session.Forward());
  EXPECT_TRUE(session.Backward());
  std::map<std::string, std::vector<double>> results;
  for (const recurve_slot* slot : session.tensors()) {
    if (slot->kind == RECURVE_SLOT_OUTPUT) results[slot->name] = *session.Get(slot->name);
  }
  return results;
}

std::map<std::string, std::vector<double>> ResultsWithTeam(const Program& program, const Sizes& sizes, size_t threads) {
  Session session(program);
  EXPECT_TRUE(session.SetExtent("T", sizes.steps));
  EXPECT_TRUE(session.SetExtent("B", sizes.batch));
  EXPECT_TRUE(session.Initialize(7));
  FillArguments(session, 3);
  if (threads > 1) {
    auto team = Team::Start(threads);
    EXPECT_TRUE(team);
    session.UseTeam(*team);
  }
  return Results(session);
}

}  // namespace recurve
