// compiler/remarks.h: what a plan made of the equations, and what it could not: for the author of a cell.
//
// In the spirit of ISPC's performance warnings. Every remark names an entry, the values that it is about as the source
// calls them, what happens to them and why: products hoisted out of the scan or sunk behind it, a second phase in every
// step and the value that it waits for, contractions without packed weights, sums in a step, gathers, vectors that
// units do not fill, and loops that a team cannot share.

#ifndef RECURVE_COMPILER_REMARKS_H_
#define RECURVE_COMPILER_REMARKS_H_

#include <string>
#include <vector>

#include "compiler/plan.h"

namespace recurve {

struct Remark {
  enum class Kind : uint8_t {
    kHoisted,   // out of the scan, or deferred behind it
    kPhase,     // one more phase, and barrier, in every step
    kUnpacked,  // a product whose weights are not packed ahead
    kSum,       // over axes, in every step
    kGather,    // by index, in every step
    kLanes,     // vectors that are not full, or not contiguous
    kTeam,      // what a team cannot share
  } kind = Kind::kHoisted;
  std::string entry;
  std::string text;
  bool costs = false;  // something is lost, and other equations could do better
};
std::string_view Name(Remark::Kind kind);  // "hoisted", "phase", ...

// In the order of entries and statements.
std::vector<Remark> Remarks(const Plan& plan);

// One line each: "forward: phase: ...".
std::string PrintRemarks(const std::vector<Remark>& remarks);

// What a kernel computes, for tables: the label that its values have, or the products that it sums.
std::string TitleOf(const Plan& plan, const EntryPlan& entry, const Kernel& kernel);

}  // namespace recurve

#endif  // RECURVE_COMPILER_REMARKS_H_
