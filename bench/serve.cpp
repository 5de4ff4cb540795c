// bench/serve.cpp: the requests of peers/engine.h, answered by Kernels.

#include "bench/serve.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctime>
#include <vector>

#include "bench/kernels.h"
#include "bench/limits.h"
#include "bench/machine.h"
#include "bench/peers/engine.h"

namespace recurve::bench {
namespace {

class OurEngine : public Engine {
 public:
  explicit OurEngine(std::shared_ptr<Team> team) : team_(std::move(team)), loops_(team_) {}

  std::string About() override { return "recurve"; }

  std::string Prepare(const Task& task) override {
    const Point point{task.cell, {task.steps, task.batch, task.inputs, task.units}, task.is_streaming()};
    threads_ = task.threads;
    if (!HasCell(task.cell)) {
      kernels_.reset();
      return "no such cell";
    }
    // The same point on more threads: the same data, and nothing to compile again.
    if (!kernels_ || point != point_) {
      kernels_.reset();
      auto kernels = Kernels::Make(point, team_);
      if (!kernels) return "no " + kernels.error().message;
      kernels_ = std::move(*kernels);
      point_ = point;
      if (auto done = kernels_->WriteData(task.data); !done) return "no " + done.error().message;
    }
    std::string answer = "ok";
    for (Pass pass : PassesOf(point)) {
      if (auto done = kernels_->Run(pass, threads_); !done) return "no " + done.error().message;
      answer += fmt::format(" {}", PassName(pass));
    }
    return answer;
  }

  std::string Run(const std::string& name, int count) override {
    for (Pass pass : kPasses) {
      if (PassName(pass) != name) continue;
      for (int i = 0; i < count; ++i) {
        if (auto done = kernels_->Run(pass, threads_); !done) return done.error().message;
      }
      return "";
    }
    return "no pass of that name";
  }

  std::string Other(const std::string& request) override {
    if (request.starts_with("compare") && kernels_) {
      auto difference = kernels_->Compare(request == "compare" ? "" : request.substr(8));
      return difference ? fmt::format("{:.3g} {}", difference->relative, difference->tensor)
                        : "no " + difference.error().message;
    }
    if (request == "grid") {
      std::vector<std::string> rows;
      for (const Point& point : Grid()) rows.push_back(fmt::format(R"(["{}", {}])", point.cell, SizeText(point.size)));
      return fmt::format("[{}]", fmt::join(rows, ", "));
    }
    if (request == "limits") {
      auto rate = [](auto work) {
        const std::clock_t start = std::clock();
        const double done = work();
        return done * CLOCKS_PER_SEC / static_cast<double>(std::clock() - start);
      };
      return fmt::format(R"({{"processor": "{}", "unit": "{}", "operations": {:.6g}, "cycles": {:.6g}}})",
                         ProcessorName(), VectorUnit(), rate([&] { return loops_.Multiply(1); }),
                         rate([&] { return loops_.Count(); }));
    }
    return "no such request: " + request;
  }

 private:
  std::shared_ptr<Team> team_;
  LimitLoops loops_;
  Point point_;
  std::unique_ptr<Kernels> kernels_;
  int threads_ = 1;
};

}  // namespace

void ServeKernels(std::shared_ptr<Team> team) {
  OurEngine engine(std::move(team));
  Serve(engine);
}

}  // namespace recurve::bench
