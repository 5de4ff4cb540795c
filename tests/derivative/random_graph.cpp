// tests/derivative/random_graph.cpp: a pool of values by kind, and productions that make a new value from old ones.

#include "tests/derivative/random_graph.h"

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ir/builder.h"

namespace recurve {

using ir::Dim;
using ir::Expr;
using ir::Graph;
using ir::Op;
using ir::Role;

namespace {

const Dim kBatch("B"), kTime("T");

// The values at hand in a graph under construction.
struct Pool {
  std::vector<Expr> rows;      // [B, n]
  std::vector<Expr> wides;     // [B, 2n]
  std::vector<Expr> columns;   // [B]
  std::vector<Expr> matrices;  // [n, n], without a batch axis
  std::vector<Expr> vectors;   // [n]
  std::vector<Expr> tokens;    // [B], below n
};

class Generator {
 public:
  explicit Generator(Random& random) : random_(random), n_(Below(2) + 2) {}

  Graph Run() {
    Graph graph;
    graph.name = "random";
    Pool pool;
    pool.rows = {graph.AddInput("r", Role::kData, {kBatch, n_})};
    pool.matrices = {graph.AddInput("M", Role::kParameter, {n_, n_}), graph.AddInput("N", Role::kParameter, {n_, n_})};
    pool.vectors = {graph.AddInput("v", Role::kParameter, {n_})};
    Expr sequence = graph.AddInput("x", Role::kData, {kTime, kBatch, n_});
    Expr token_sequence = graph.AddIndexInput("tokens", Role::kData, {kTime, kBatch}, n_);
    Produce(graph, pool, 2 + Below(3), true);

    int scans = 1 + Below(2);
    for (int i = 0; i < scans; ++i) {
      std::vector<Expr> stacked = AddScan(graph, pool, {sequence}, {token_sequence}, kTime, 4 + Below(8), true);
      if (!stacked.empty()) sequence = Pick(stacked);
      graph.AddOutput("stacked" + std::to_string(i), sequence);
    }
    Produce(graph, pool, Below(4), true);
    graph.AddOutput("row", pool.rows.back());
    graph.AddOutput("matrix", Pick(pool.matrices));
    return graph;
  }

 private:
  int64_t Below(int64_t limit) { return std::uniform_int_distribution<int64_t>(0, limit - 1)(random_); }
  bool OneIn(int64_t count) { return Below(count) == 0; }
  Expr Pick(const std::vector<Expr>& values) { return values[Below(static_cast<int64_t>(values.size()))]; }
  // Prefers what was made last, so that chains grow.
  Expr Row(const Pool& pool) { return OneIn(2) ? pool.rows.back() : Pick(pool.rows); }

  Expr Smooth(Expr a) {
    constexpr std::array kOps{Op::kTanh, Op::kSigmoid, Op::kSin, Op::kSoftplus,
                              Op::kErf,  Op::kNeg,     Op::kCos, Op::kRelu};
    return ir::Elementwise(kOps[Below(kOps.size())], {{a}});
  }

  Expr Combine(Expr a, Expr b) {
    constexpr std::array kOps{Op::kAdd, Op::kSub, Op::kMul, Op::kMul, Op::kMin, Op::kMax};
    return ir::Elementwise(kOps[Below(kOps.size())], {{a, b}});
  }

  // A condition that no input moves, since differences across a jump say nothing.
  Expr FirstUnits(Graph& graph) {
    Expr unit = ir::BroadcastTrailing(ir::Iota(graph, n_), {kBatch, n_});
    return Less(unit, ir::Constant(graph, {kBatch, n_}, static_cast<double>(Below(n_ + 1))));
  }

  void Produce(Graph& graph, Pool& pool, int64_t count, bool with_scans) {
    for (; count > 0; --count) ProduceOne(graph, pool, with_scans);
  }

  void ProduceOne(Graph& graph, Pool& pool, bool with_scans) {
    ir::Shape row_shape{kBatch, n_};
    switch (Below(17)) {
      case 0: return pool.rows.push_back(Smooth(Row(pool)));
      case 1:
      case 2: return pool.rows.push_back(Combine(Row(pool), Pick(pool.rows)));
      case 3:
        return pool.rows.push_back(ir::Contract(Row(pool), Pick(pool.matrices), OneIn(2) ? "bi,oi->bo" : "bi,io->bo"));
      case 4: {
        Expr stacked = ir::Concat({{Pick(pool.matrices), Pick(pool.matrices)}}, 0);
        return pool.wides.push_back(ir::Contract(Row(pool), stacked, "bi,oi->bo"));
      }
      case 5: return pool.wides.push_back(ir::Concat({{Row(pool), Pick(pool.rows)}}, 1));
      case 6: {
        if (pool.wides.empty()) return;
        Expr wide = Pick(pool.wides);
        return pool.rows.push_back(Tanh(ir::Slice(wide, 1, Below(n_ + 1), n_)) * ir::Slice(wide, 1, Below(2) * n_, n_));
      }
      case 7: {
        if (pool.wides.empty()) return;
        Expr swapped = ir::Transpose(ir::Reshape(Pick(pool.wides), {kBatch, 2, n_}), {0, 2, 1});
        return pool.wides.push_back(ir::Reshape(swapped, {kBatch, 2 * n_}));
      }
      case 8: return pool.columns.push_back(OneIn(2) ? ir::ReduceSum(Row(pool), {1}) : ir::ReduceMax(Row(pool)));
      case 9: return pool.columns.push_back(ir::Contract(Row(pool), Pick(pool.rows), "bi,bi->b"));
      case 10:
        if (pool.columns.empty()) return;
        return pool.rows.push_back(Tanh(ir::BroadcastTo(Pick(pool.columns), row_shape, {0})) * Row(pool));
      case 11: return pool.rows.push_back(Row(pool) + ir::BroadcastTrailing(Pick(pool.vectors), row_shape));
      case 12: return pool.rows.push_back(Select(FirstUnits(graph), Row(pool), Pick(pool.rows)));
      case 13: return pool.matrices.push_back(ProduceMatrix(pool));
      case 14: return pool.vectors.push_back(Tanh(ir::ReduceSum(Row(pool), {0})));
      case 15:
        if (pool.tokens.empty()) return;
        return pool.rows.push_back(ir::Gather(Pick(pool.matrices), Pick(pool.tokens)));
      case 16:
        if (with_scans && OneIn(2)) AddScan(graph, pool, {}, {}, Dim(2), 3, false);
        return;
    }
  }

  Expr ProduceMatrix(const Pool& pool) {
    Expr a = Pick(pool.matrices);
    switch (Below(4)) {
      case 0: return a - Transpose(a, {1, 0});
      case 1: return Tanh(a);
      case 2: return Tanh(ir::Contract(Row(pool), Pick(pool.rows), "bi,bj->ij"));
      default:
        if (pool.tokens.empty()) return a * Pick(pool.matrices);
        return Tanh(ir::ScatterAdd(Pick(pool.tokens), Row(pool), n_));
    }
  }

  // A scan whose initial values and invariants are from the pool; its final rows go there. Returns the stacked rows.
  std::vector<Expr> AddScan(Graph& graph, Pool& pool, const std::vector<Expr>& sequences,
                            const std::vector<Expr>& token_sequences, Dim time, int64_t size, bool with_scans) {
    auto body = std::make_shared<Graph>();
    body->name = "step";
    Pool inner;
    std::vector<Expr> operands;
    int rows = 1 + static_cast<int>(Below(2));
    bool matrix_carry = OneIn(4);
    for (int i = 0; i < rows; ++i) {
      inner.rows.push_back(body->AddInput("s" + std::to_string(i), Role::kCarry, {kBatch, n_}));
      operands.push_back(Pick(pool.rows));
    }
    if (matrix_carry) {
      inner.matrices.push_back(body->AddInput("S", Role::kCarry, {n_, n_}));
      operands.push_back(Pick(pool.matrices));
    }
    for (Expr sequence : sequences) {
      inner.rows.push_back(body->AddInput("x", Role::kElement, {kBatch, n_}));
      operands.push_back(sequence);
    }
    for (Expr sequence : token_sequences) {
      inner.tokens.push_back(body->AddIndexInput("token", Role::kElement, {kBatch}, n_));
      operands.push_back(sequence);
    }
    for (int i = 0; i < 2; ++i) {
      inner.matrices.push_back(body->AddInput("W" + std::to_string(i), Role::kInvariant, {n_, n_}));
      operands.push_back(Pick(pool.matrices));
    }
    inner.vectors.push_back(body->AddInput("b", Role::kInvariant, {n_}));
    operands.push_back(Pick(pool.vectors));
    if (OneIn(2)) {
      inner.rows.push_back(body->AddInput("context", Role::kInvariant, {kBatch, n_}));
      operands.push_back(Pick(pool.rows));
    }

    Produce(*body, inner, size, with_scans);
    for (int i = 0; i < rows; ++i) {
      Expr next = Row(inner);
      body->AddOutput("s" + std::to_string(i) + "'", OneIn(4) ? 0.5 * (next + Pick(inner.rows)) : Tanh(next));
    }
    if (matrix_carry) body->AddOutput("S'", 0.5 * (inner.matrices[0] + Tanh(Pick(inner.matrices))));
    int carries = rows + (matrix_carry ? 1 : 0), stacked = static_cast<int>(Below(3));
    for (int i = 0; i < stacked; ++i) body->AddOutput("y" + std::to_string(i), Pick(inner.rows));

    Expr scan = ir::Scan(graph, operands,
                         {.body = body,
                          .carries = carries,
                          .sequences = static_cast<int>(sequences.size() + token_sequences.size()),
                          .time = time,
                          .reverse = OneIn(2)});
    for (int i = 0; i < rows; ++i) {
      if (!OneIn(4)) pool.rows.push_back(ir::ScanResult(scan, i));
    }
    if (matrix_carry) pool.matrices.push_back(ir::ScanResult(scan, rows));
    std::vector<Expr> results;
    for (int i = 0; i < stacked; ++i) results.push_back(ir::ScanResult(scan, carries + i));
    return results;
  }

  Random& random_;
  int64_t n_;  // the extent of every axis but batch and time
};

}  // namespace

Graph RandomGraph(Random& random) { return Generator(random).Run(); }

}  // namespace recurve
