// tests/derivative/cells.cpp: recurrent layers built by hand.

#include "tests/derivative/cells.h"

#include <memory>

#include "ir/builder.h"

namespace recurve {

using ir::Contract;
using ir::Dim;
using ir::Expr;
using ir::Graph;
using ir::Role;
using ir::ScanResult;

namespace {

const Dim kTime("T"), kBatch("B"), kOuter("S");

Expr Labelled(Expr a, std::string label) {
  a.graph()->SetLabel(a.id(), std::move(label));
  return a;
}

Graph ElmanBody() {
  Graph body;
  body.name = "elman";
  Expr h = body.AddInput("h", Role::kCarry, {kBatch, 4});
  Expr x = body.AddInput("x", Role::kElement, {kBatch, 3});
  Expr w = body.AddInput("W", Role::kInvariant, {4, 3});
  Expr u = body.AddInput("U", Role::kInvariant, {4, 4});
  Expr b = body.AddInput("b", Role::kInvariant, {4});
  Expr next = Tanh(Contract(x, w, "bi,oi->bo") + Contract(h, u, "bi,oi->bo") + BroadcastTrailing(b, {kBatch, 4}));
  Labelled(next, "h'");
  body.AddOutput("h'", next);
  body.AddOutput("y", next);
  return body;
}

Graph LstmBody() {
  Graph body;
  body.name = "lstm";
  Expr h = body.AddInput("h", Role::kCarry, {kBatch, 2});
  Expr c = body.AddInput("c", Role::kCarry, {kBatch, 2});
  Expr x = body.AddInput("x", Role::kElement, {kBatch, 3});
  Expr w = body.AddInput("W", Role::kInvariant, {8, 3});
  Expr u = body.AddInput("U", Role::kInvariant, {8, 2});
  Expr b = body.AddInput("b", Role::kInvariant, {8});
  Expr z = Contract(x, w, "bi,oi->bo") + Contract(h, u, "bi,oi->bo") + BroadcastTrailing(b, {kBatch, 8});
  Expr i = Labelled(Sigmoid(ir::Slice(z, 1, 0, 2)), "i");
  Expr f = Labelled(Sigmoid(ir::Slice(z, 1, 2, 2)), "f");
  Expr g = Labelled(Tanh(ir::Slice(z, 1, 4, 2)), "g");
  Expr o = Labelled(Sigmoid(ir::Slice(z, 1, 6, 2)), "o");
  Expr c_next = Labelled(f * c + i * g, "c'");
  Expr squashed = Labelled(Tanh(c_next), "squashed");
  Expr h_next = Labelled(o * squashed, "h'");
  body.AddOutput("h'", h_next);
  body.AddOutput("c'", c_next);
  body.AddOutput("y", h_next);
  return body;
}

std::shared_ptr<const Graph> Share(Graph graph) { return std::make_shared<const Graph>(std::move(graph)); }

}  // namespace

Graph Elman(bool reverse) {
  Graph graph;
  graph.name = "elman";
  Expr x = graph.AddInput("x", Role::kData, {kTime, kBatch, 3});
  Expr w = graph.AddInput("W", Role::kParameter, {4, 3});
  Expr u = graph.AddInput("U", Role::kParameter, {4, 4});
  Expr b = graph.AddInput("b", Role::kParameter, {4});
  Expr h0 = graph.AddInput("h0", Role::kState, {kBatch, 4});
  Expr scan = ir::Scan(graph, {{h0, x, w, u, b}},
                       {.body = Share(ElmanBody()), .carries = 1, .sequences = 1, .time = kTime, .reverse = reverse});
  graph.AddOutput("h", ScanResult(scan, 1));
  graph.AddOutput("hT", ScanResult(scan, 0));
  return graph;
}

Graph Lstm(bool reverse) {
  Graph graph;
  graph.name = "lstm";
  Expr x = graph.AddInput("x", Role::kData, {kTime, kBatch, 3});
  Expr w = graph.AddInput("W", Role::kParameter, {8, 3});
  Expr u = graph.AddInput("U", Role::kParameter, {8, 2});
  Expr b = graph.AddInput("b", Role::kParameter, {8});
  Expr h0 = graph.AddInput("h0", Role::kState, {kBatch, 2});
  Expr c0 = graph.AddInput("c0", Role::kState, {kBatch, 2});
  Expr scan = ir::Scan(graph, {{h0, c0, x, w, u, b}},
                       {.body = Share(LstmBody()), .carries = 2, .sequences = 1, .time = kTime, .reverse = reverse});
  graph.AddOutput("h", ScanResult(scan, 2));
  graph.AddOutput("hT", ScanResult(scan, 0));
  graph.AddOutput("cT", ScanResult(scan, 1));
  return graph;
}

Graph Nested() {
  Graph inner;
  inner.name = "inner";
  {
    Expr h = inner.AddInput("h", Role::kCarry, {kBatch, 2});
    Expr x = inner.AddInput("x", Role::kElement, {kBatch, 2});
    Expr w = inner.AddInput("W", Role::kInvariant, {2, 2});
    Expr next = Tanh(Contract(h, w, "bi,oi->bo") + x);
    inner.AddOutput("h'", next);
    inner.AddOutput("y", next * x);
  }
  Graph outer;
  outer.name = "outer";
  {
    Expr h = outer.AddInput("h", Role::kCarry, {kBatch, 2});
    Expr x = outer.AddInput("x", Role::kElement, {kTime, kBatch, 2});
    Expr w = outer.AddInput("W", Role::kInvariant, {2, 2});
    Expr u = outer.AddInput("U", Role::kInvariant, {2, 2});
    Expr scan = ir::Scan(outer, {{h, x, w}}, {.body = Share(inner), .carries = 1, .sequences = 1, .time = kTime});
    Expr mixed = Contract(ScanResult(scan, 0), u, "bi,oi->bo");
    Expr next = Sigmoid(mixed + ReduceSum(ScanResult(scan, 1), {0})) * h;
    outer.AddOutput("h'", next);
    outer.AddOutput("y", next * ScanResult(scan, 0));
  }
  Graph graph;
  graph.name = "nested";
  Expr x = graph.AddInput("x", Role::kData, {kOuter, kTime, kBatch, 2});
  Expr w = graph.AddInput("W", Role::kParameter, {2, 2});
  Expr u = graph.AddInput("U", Role::kParameter, {2, 2});
  Expr h0 = graph.AddInput("h0", Role::kState, {kBatch, 2});
  Expr scan = ir::Scan(graph, {{h0, x, w, u}}, {.body = Share(outer), .carries = 1, .sequences = 1, .time = kOuter});
  graph.AddOutput("y", ScanResult(scan, 1));
  graph.AddOutput("hS", ScanResult(scan, 0));
  return graph;
}

}  // namespace recurve
