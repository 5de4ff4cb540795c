// runtime/team.h: threads that run one entry of a program together.
//
// One implementation of recurve_team (runtime/abi.h); a host's own pool is another. Results are the same bits for any
// number of members. Members are started once; between calls they spin for a moment, so that the next one starts within
// a microsecond, and then sleep.
//
//   auto team = recurve::Team::Start(4);
//   session.UseTeam(*team);
//
// One call at a time: a second thread's waits for the first. Barriers spin for a bounded time and then sleep, because
// two spinners on one core would cost a scheduler tick each.

#ifndef RECURVE_RUNTIME_TEAM_H_
#define RECURVE_RUNTIME_TEAM_H_

#include <cstddef>
#include <expected>
#include <memory>
#include <span>

#include "runtime/abi.h"
#include "runtime/error.h"

namespace recurve {

class Team {
 public:
  // Starts threads so that `count` (1 to 1024) members run, the caller of an entry being the first of them. `pin` binds
  // the started threads to one processor each, from the second on, where the system allows it.
  static std::expected<std::shared_ptr<Team>, Error> Start(size_t count, bool pin = false);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  size_t size() const;
  // What slots of kind RECURVE_SLOT_TEAM take; valid as long as this is.
  const recurve_team& lent() const;

 private:
  struct Contents;
  explicit Team(std::unique_ptr<Contents> contents);
  std::unique_ptr<Contents> contents_;
};

}  // namespace recurve

#endif  // RECURVE_RUNTIME_TEAM_H_
