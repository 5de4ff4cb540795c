// bench/peers/engine.h: how a program that can run cells talks to the one that measures many of them.
//
// All programs, ours included, stay alive and answer requests, so that one repetition of each lies beside one of every
// other and a drift of the clock hits all. A request is a line on standard input, the answer a line on standard output:
//
//   prepare CELL T B I H THREADS DATA RESULTS    ok PASS...  |  no REASON
//       Reads tensors DATA/NAME.f32, runs every pass once and leaves what it computed in RESULTS/NAME.f32, in our names
//       and layouts. Streams have T = B = I = 1 and the pass `step`.
//   run PASS COUNT                               SECONDS     |  no REASON
//       Seconds of one of COUNT runs: processor time of the process for one thread, wall time for more.
//   about                                        one line: name and version
//
// For C++17 and newer, and nothing but the standard library. `peer.py` says the same for Python.

#ifndef RECURVE_BENCH_PEERS_ENGINE_H_
#define RECURVE_BENCH_PEERS_ENGINE_H_

#include <chrono>
#include <cstddef>
#include <ctime>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace recurve::bench {

struct Task {
  std::string cell;
  long steps = 0, batch = 0, inputs = 0, units = 0;
  int threads = 1;
  std::string data, results;  // folders

  bool is_streaming() const { return steps == 1 && batch == 1 && inputs == 1; }

  std::vector<float> Read(const std::string& name) const {
    std::ifstream stream(data + "/" + name + ".f32", std::ios::binary | std::ios::ate);
    std::vector<float> values(stream ? static_cast<size_t>(stream.tellg()) / sizeof(float) : 0);
    stream.seekg(0);
    stream.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
    return values;
  }
  void Write(const std::string& name, const float* values, size_t count) const {
    std::ofstream stream(results + "/" + name + ".f32", std::ios::binary);
    stream.write(reinterpret_cast<const char*>(values), static_cast<std::streamsize>(count * sizeof(float)));
  }
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string About() = 0;
  // The answer to `prepare`.
  virtual std::string Prepare(const Task& task) = 0;
  // Runs the pass so many times; some steps take less time than to find out which pass it is. Empty, or the reason why
  // not.
  virtual std::string Run(const std::string& pass, int count) = 0;
  // The answer to a request of this engine's own.
  virtual std::string Other(const std::string& request) { return "no such request: " + request; }
};

// Answers requests until the input ends.
inline void Serve(Engine& engine) {
  int threads = 1;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb, answer;
    words >> verb;
    if (verb == "about") {
      answer = engine.About();
    } else if (verb == "prepare") {
      Task task;
      words >> task.cell >> task.steps >> task.batch >> task.inputs >> task.units >> task.threads >> task.data >>
          task.results;
      threads = task.threads;
      answer = engine.Prepare(task);
    } else if (verb == "run") {
      std::string pass;
      int count = 0;
      words >> pass >> count;
      const auto wall = std::chrono::steady_clock::now();
      const std::clock_t processor = std::clock();
      const std::string failure = engine.Run(pass, count);
      const double processor_seconds = static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC;
      const double wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count();
      std::ostringstream text;
      text.precision(9);
      text << (threads == 1 ? processor_seconds : wall_seconds) / count;
      answer = failure.empty() ? text.str() : "no " + failure;
    } else {
      answer = engine.Other(line);
    }
    std::cout << answer << std::endl;
  }
}

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_PEERS_ENGINE_H_
