// bench/kernels.h: one point of the grid, compiled as a user would compile it, with random weights and data.

#ifndef RECURVE_BENCH_KERNELS_H_
#define RECURVE_BENCH_KERNELS_H_

#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "bench/grid.h"
#include "bench/model.h"
#include "runtime/session.h"

namespace recurve::bench {

std::expected<Program, Error> CompilePoint(const Point& point, std::vector<std::string> entries);

class Kernels {
 public:
  // A gradient flows into the output of every step. `team` runs what is asked for on two threads.
  static std::expected<std::unique_ptr<Kernels>, Error> Make(const Point& point, std::shared_ptr<Team> team);

  // One call of an entry; a backward pass belongs to the last forward pass.
  std::expected<void, Error> Run(Pass pass, int threads);
  // What one call does at least.
  Work WorkOf(Pass pass) const;

  // Writes inputs, states, weights and the gradient of the output to FOLDER/NAME.f32, for peers to read.
  std::expected<void, Error> WriteData(const std::string& folder);
  // The largest difference between our results and those that a peer left in `folder`, relative to the largest value of
  // the same tensor. Fails where a file has another length or there is none.
  std::expected<double, Error> Compare(const std::string& folder);

 private:
  Kernels(Point point, Program program, std::shared_ptr<Team> team);

  Frame& frame() { return session_ ? static_cast<Frame&>(*session_) : *stream_; }

  Point point_;
  std::shared_ptr<Team> team_;
  std::shared_ptr<Parameters> parameters_;
  std::optional<Session> session_;
  std::optional<Stream> stream_;
};

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_KERNELS_H_
