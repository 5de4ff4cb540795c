#include "runtime/team.h"

#include <array>
#include <atomic>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

namespace recurve {
namespace {

// What one writer owns: two lines, since processors fetch them in pairs.
constexpr size_t kLineBytes = 128;
constexpr int kSpins = 2000;  // some tens of microseconds

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Counts only rise, and wrap around.
bool HasReached(uint32_t count, uint32_t goal) { return static_cast<int32_t>(count - goal) >= 0; }

// Returns when `word` has reached `goal`: watches it for a moment, then sleeps. Where members outnumber idle processors
// the one that is waited for needs this one's, and a sleeper is back sooner than one that has yielded.
void WaitUntil(const std::atomic<uint32_t>& word, uint32_t goal) {
  for (int i = 0; i < kSpins; ++i) {
    if (HasReached(word.load(std::memory_order_acquire), goal)) return;
    Pause();
  }
  for (;;) {
    const uint32_t seen = word.load(std::memory_order_acquire);
    if (HasReached(seen, goal)) return;
    word.wait(seen, std::memory_order_acquire);
  }
}

void Announce(std::atomic<uint32_t>& word, uint32_t value) {
  word.store(value, std::memory_order_release);
  word.notify_all();  // no system call unless somebody sleeps
}

void PinToProcessor(pthread_t thread, size_t index) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  const size_t count = static_cast<size_t>(CPU_COUNT(&allowed));
  if (count == 0) return;
  size_t skip = index % count;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || skip-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(thread, sizeof one, &one);  // best effort: a refusal changes the speed, not the result
    return;
  }
}

}  // namespace

// A dissemination barrier: in round r member i tells member i + 2^r that it is there, and waits until member i - 2^r
// has told so; after log2(members) rounds everybody has heard of everybody. For two members that is one line each way
// at the same time. Each flag has one writer, one reader and a line of its own. Every member calls every barrier, so
// that all counts agree. Source: Hensgen, Finkel & Manber 1988, Two algorithms for barrier synchronization, IJPP 17(1).
struct Team::Contents {
  static constexpr size_t kMostRounds = 10;  // 1024 members
  struct alignas(kLineBytes) Flag {
    std::atomic<uint32_t> count = 0;
  };
  struct alignas(kLineBytes) Member {
    uint32_t barriers = 0;  // how many this member has begun
    std::array<Flag, kMostRounds> heard;
  };

  explicit Contents(size_t count) : lent{count, &Contents::ParallelFor, &Contents::Barrier, this}, members(count) {}

  static void Barrier(const recurve_team* team, size_t index) {
    auto& self = *static_cast<Contents*>(team->context);
    Member& member = self.members[index];
    const uint32_t goal = ++member.barriers;
    for (size_t round = 0, distance = 1; distance < team->count; ++round, distance *= 2) {
      Announce(self.members[(index + distance) % team->count].heard[round].count, goal);
      WaitUntil(member.heard[round].count, goal);
    }
  }

  static void ParallelFor(const recurve_team* team, void (*body)(void*, size_t), void* call) {
    auto& self = *static_cast<Contents*>(team->context);
    const std::scoped_lock lock(self.running);
    self.body = body;
    self.call = call;
    Announce(self.runs, self.runs + 1);
    body(call, 0);
    Barrier(team, 0);
  }

  // A started member's life: wait for a run, take part, meet at the barrier that ends it.
  void Serve(size_t index) {
    for (uint32_t run = 1;; ++run) {
      WaitUntil(runs, run);
      if (is_ending) return;
      body(call, index);
      Barrier(&lent, index);
    }
  }

  const recurve_team lent;
  std::vector<Member> members;
  alignas(kLineBytes) std::atomic<uint32_t> runs = 0;  // a new value wakes the members
  void (*body)(void*, size_t) = nullptr;               // of the current run
  void* call = nullptr;
  bool is_ending = false;
  std::mutex running;
  std::vector<std::thread> threads;
};

Team::Team(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}

Team::~Team() {
  contents_->is_ending = true;
  Announce(contents_->runs, contents_->runs + 1);
  for (std::thread& thread : contents_->threads) thread.join();
}

std::expected<std::shared_ptr<Team>, Error> Team::Start(size_t count, bool pin) {
  if (count < 1 || count > 1024) {
    return std::unexpected(Error{fmt::format("cannot start a team of {} threads: 1 to 1024 are possible", count)});
  }
  std::shared_ptr<Team> team(new Team(std::make_unique<Contents>(count)));
  Contents& contents = *team->contents_;
  try {  // the standard library reports a refused thread by throwing; it ends here
    for (size_t i = 1; i < count; ++i) {
      contents.threads.emplace_back([&contents, i] { contents.Serve(i); });
      if (pin) PinToProcessor(contents.threads.back().native_handle(), i);
    }
  } catch (const std::system_error& error) {
    return std::unexpected(Error{
        fmt::format("cannot start thread {} of {}: {}", contents.threads.size() + 2, count, error.code().message())});
  }
  return team;
}

size_t Team::size() const { return contents_->lent.count; }

const recurve_team& Team::lent() const { return contents_->lent; }

}  // namespace recurve
