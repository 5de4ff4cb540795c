// bench/kernels.h: one point of the grid, compiled as a user would compile it, with random weights and data.

#ifndef RECURVE_BENCH_KERNELS_H_
#define RECURVE_BENCH_KERNELS_H_

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/grid.h"
#include "bench/model.h"
#include "compiler/interface.h"
#include "runtime/session.h"

namespace recurve::bench {

std::expected<Program, Error> CompilePoint(const Point& point, std::vector<std::string> entries,
                                           Precision precision = Precision::kF32);

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
  // How far results in `folder`, or ours if it is empty, are from those of the same program compiled for f64: the
  // largest difference relative to the largest value of the same tensor, and that tensor's name. Results are those of
  // one run of every pass on the data of WriteData. Fails where a file has another length or there is none.
  struct Difference {
    double relative = 0;
    std::string tensor;
  };
  std::expected<Difference, Error> Compare(const std::string& folder);

 private:
  Kernels(Point point, Program program, std::shared_ptr<Team> team);

  // Results of the f64 program, by name.
  using Results = std::map<std::string, std::vector<double>>;
  std::expected<Results, Error> MakeReference() const;
  // What a tensor holds now, or what a file of that name holds; nothing where there is no such file.
  std::expected<std::vector<double>, Error> Find(const std::string& name, const std::string& folder);

  std::expected<void, Error> Resize();
  Frame& frame() { return session_ ? static_cast<Frame&>(*session_) : *stream_; }

  Point point_;
  std::shared_ptr<Team> team_;
  int threads_ = 1;  // that the frame uses
  std::shared_ptr<Parameters> parameters_;
  std::optional<Session> session_;
  std::optional<Stream> stream_;
  Results reference_;  // made when first compared with
};

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_KERNELS_H_
