// compiler/emit_team.h: how threads that a caller lends share a call.
//
// An entry that has work for a team gives its parallel_for one body, which is the whole call as one member of the team
// sees it; members meet where the plan has barriers. Nothing is asked of parallel_for but that it runs every body, so
// that any pool will do, and even a loop: without a barrier of the team's own a member waits for its colleagues for a
// bounded time, then the doors close, and who comes later finds the work taken and returns. Those inside all run, and
// so cannot wait for each other in vain. How many they are changes no bit of a result (runtime/abi.h has the
// interface).

#ifndef RECURVE_COMPILER_EMIT_TEAM_H_
#define RECURVE_COMPILER_EMIT_TEAM_H_

#include "compiler/emit_kernel.h"

namespace recurve {

// What a member is to the code of its entry, in this order.
enum class MemberField : unsigned { kIndex, kCount, kCall };

// The field of `member`, which is not null.
Value* LoadMember(llvm::IRBuilder<>& builder, const EmitTypes& types, Value* member, MemberField field);

// At the end of a function of one argument, its slots: runs `work(slots, member)` in every thread of `team`, which is
// not null, and waits for all of them.
void EmitShared(llvm::IRBuilder<>& builder, EmitModule& emit, Value* team, llvm::Function* work);

// Of a team that is not null.
Value* LoadTeamCount(llvm::IRBuilder<>& builder, const EmitTypes& types, Value* team);

// if (member) the members of its call meet
void EmitBarrier(llvm::IRBuilder<>& builder, EmitModule& emit, Value* member);

}  // namespace recurve

#endif  // RECURVE_COMPILER_EMIT_TEAM_H_
