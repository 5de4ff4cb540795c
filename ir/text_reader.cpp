// ir/text_reader.cpp: text to graph, by recursive descent over the grammar in README.md.
//
// Every node is checked by InferType before it enters the graph, and names are checked as they appear: what Verify asks
// of a graph is asked here of each line, so that a mistake is reported where it stands. Nesting is bounded by
// kMaxScanDepth and sizes by builder.h, so no text exhausts the stack or overflows an extent.

#include <fmt/format.h>

#include <map>
#include <set>

#include "ir/builder.h"
#include "ir/text.h"
#include "ir/text_cursor.h"
#include "ir/text_words.h"

namespace recurve::ir {
namespace {

// Sets the enumerator whose word comes next.
template <typename Enum>
bool ReadWordOf(TextCursor& cursor, std::span<const std::string_view> words, std::string_view what, Enum* value) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (!cursor.TakeWord(words[i])) continue;
    *value = static_cast<Enum>(i);
    return true;
  }
  return cursor.FailToFind(what);
}

const std::map<std::string_view, Op>& OpsByName() {
  static const std::map<std::string_view, Op> ops = {
#define UNARY(Kind, text, ...) {text, Op::k##Kind},
#define BINARY(Kind, text, ...) {text, Op::k##Kind},
#define TERNARY(Kind, text, ...) {text, Op::k##Kind},
#define STRUCTURAL(Kind, text) {text, Op::k##Kind},
#include "ir/ops.def"
  };
  return ops;
}

bool ReadDim(TextCursor& cursor, Dim* dim) {
  std::string word;
  size_t start = cursor.position();
  if (!cursor.ReadWord("an extent or an axis", &word)) return false;
  *dim = Dim(word);
  if (!IsDigit(word[0])) return true;
  TextCursor digits(word);
  int64_t extent = 0;
  if (!digits.ReadInteger(&extent) || !digits.at_end())
    return cursor.FailAt(start, fmt::format("`{}` is neither an extent nor an axis", word.substr(0, 40)));
  *dim = Dim(extent);
  return true;
}

// "[" items "]"; `read_item` reads one.
bool ReadList(TextCursor& cursor, auto read_item) {
  if (!cursor.Expect('[')) return false;
  if (cursor.Take(']')) return true;
  do {
    if (!read_item()) return false;
  } while (cursor.Take(','));
  return cursor.Expect(']');
}

bool ReadShape(TextCursor& cursor, Shape* shape) {
  return ReadList(cursor, [&] { return ReadDim(cursor, &shape->emplace_back()); });
}

bool ReadInit(TextCursor& cursor, Init* init) {
  if (!ReadWordOf(cursor, kInitWords, "a distribution", &init->kind)) return false;
  if (!cursor.Expect('(') || !cursor.ReadNumber(&init->a)) return false;
  if (init->kind != Init::Kind::kConstant && (!cursor.Expect(',') || !cursor.ReadNumber(&init->b))) return false;
  return cursor.Expect(')');
}

// `key=`.
bool ExpectKey(TextCursor& cursor, std::string_view key) { return cursor.ExpectWord(key) && cursor.Expect('='); }

// What stands before the operands; the counterpart of the printer's LeadingAttribute.
struct LeadingAttribute {
  TextCursor& cursor;

  bool operator()(ConstantAttr& attr) const { return cursor.ReadNumber(&attr.value); }
  bool operator()(ExtentAttr& attr) const { return ReadDim(cursor, &attr.dim); }
  bool operator()(ContractAttr& attr) const {
    size_t start = cursor.position();
    std::string text;
    if (!cursor.ReadString("the labels of a contraction", &text)) return false;
    size_t comma = text.find(','), arrow = text.find("->");
    if (comma == text.npos || arrow == text.npos || comma > arrow)
      return cursor.FailAt(start, "the labels have not the form `bi,oi->bo`");
    attr = {text.substr(0, comma), text.substr(comma + 1, arrow - comma - 1), text.substr(arrow + 2)};
    return true;
  }
  bool operator()(auto&) const { return true; }
};

// What stands after them.
struct TrailingAttribute {
  TextCursor& cursor;

  bool operator()(AxesAttr& attr) const {
    return ExpectKey(cursor, "axes") &&
           ReadList(cursor, [&] { return cursor.ReadSmallInteger(&attr.axes.emplace_back()); });
  }
  bool operator()(SliceAttr& attr) const {
    return ExpectKey(cursor, "axis") && cursor.ReadSmallInteger(&attr.axis) && ExpectKey(cursor, "start") &&
           cursor.ReadInteger(&attr.start);
  }
  bool operator()(ConcatAttr& attr) const { return ExpectKey(cursor, "axis") && cursor.ReadSmallInteger(&attr.axis); }
  bool operator()(ResultAttr& attr) const { return cursor.ReadSmallInteger(&attr.index); }
  bool operator()(auto&) const { return true; }
};

// A value's label and number; no two values of a graph agree in both.
struct Reference {
  std::string label;
  int64_t number = 1;
  auto operator<=>(const Reference&) const = default;
};

class GraphReader {
 public:
  GraphReader(TextCursor& cursor, int depth) : cursor_(cursor), depth_(depth) {}

  // Reads "{" ... "}" into `graph`. `carries` is how many outputs are next values; -1 outside a scan.
  bool Read(int carries, Graph* graph) {
    graph_ = graph;
    if (!cursor_.Expect('{')) return false;
    while (cursor_.At('%')) {
      if (!ReadStatement()) return false;
    }
    if (!cursor_.TakeWord("return")) return cursor_.FailToFind("a value or `return`");
    return ReadReturn(carries) && cursor_.Expect('}');
  }

 private:
  bool ReadStatement() {
    Reference reference;
    size_t start = cursor_.position();
    if (!cursor_.ReadReference(&reference.label, &reference.number)) return false;
    if (values_.contains(reference)) return cursor_.FailAt(start, "the value is defined a second time");
    if (!cursor_.Expect('=')) return false;

    std::string word;
    size_t word_start = cursor_.position();
    if (!cursor_.ReadWord("an operation", &word)) return false;
    auto op = OpsByName().find(word);
    if (op == OpsByName().end()) return cursor_.FailAt(word_start, fmt::format("`{}` is no operation", word));
    Node node{.op = op->second, .attr = EmptyAttr(op->second), .label = reference.label};
    bool read = node.op == Op::kInput ? ReadInput(node) : node.op == Op::kScan ? ReadScan(node) : ReadPlain(node);
    if (!read) return false;
    if (std::string why = InferType(*graph_, node, &node.type); !why.empty())
      return cursor_.FailAt(word_start, fmt::format("`{}` {}", word, why));
    values_.emplace(std::move(reference), graph_->Add(std::move(node)));
    return true;
  }

  // Attribute, operands, attribute, type. A type may be left out where the operation determines it.
  bool ReadPlain(Node& node) {
    if (!std::visit(LeadingAttribute{cursor_}, node.attr)) return false;
    if (cursor_.At('%') && !ReadOperands(node)) return false;
    if (!std::visit(TrailingAttribute{cursor_}, node.attr)) return false;
    if (!cursor_.Take(':')) return true;
    size_t start = cursor_.position();
    Type inferred;
    if (cursor_.TakeWord("index")) node.type.element = Element::kIndex;
    if (!ReadShape(cursor_, &node.type.shape)) return false;
    // What else is wrong with the node is reported where the operation stands.
    if (!InferType(*graph_, node, &inferred).empty() || inferred == node.type) return true;
    return cursor_.FailAt(
        start, fmt::format("`{}` yields {}`{}`", Name(node.op), inferred.element == Element::kIndex ? "indices " : "",
                           PrintShape(inferred.shape)));
  }

  bool ReadInput(Node& node) {
    InputAttr& attr = std::get<InputAttr>(node.attr);
    size_t start = cursor_.position();
    if (!ReadWordOf(cursor_, kRoleWords, "the role of an input", &attr.role)) return false;
    attr.name = node.label;
    if (cursor_.TakeWord("named") && !cursor_.ReadName("the name of an input", &attr.name)) return false;
    if (cursor_.TakeWord("index")) {
      node.type.element = Element::kIndex;
      if (!cursor_.Expect('(') || !cursor_.ReadInteger(&attr.classes) || !cursor_.Expect(')')) return false;
    }
    if (!ReadShape(cursor_, &node.type.shape)) return false;
    if (cursor_.Take('~') && !ReadInit(cursor_, &attr.init)) return false;
    return input_names_.insert(attr.name).second ||
           cursor_.FailAt(start, fmt::format("a second input is named `{}`", attr.name));
  }

  bool ReadScan(Node& node) {
    ScanAttr& attr = std::get<ScanAttr>(node.attr);
    auto body = std::make_shared<Graph>();
    if (depth_ == kMaxScanDepth) return cursor_.Fail(fmt::format("scans nest deeper than {}", kMaxScanDepth));
    if (!ReadDim(cursor_, &attr.time)) return false;
    attr.reverse = cursor_.TakeWord("reverse");
    if (cursor_.TakeWord("checkpoint") && !ReadCheckpoint(attr)) return false;
    if (cursor_.TakeWord("named") && !cursor_.ReadName("the name of a body", &body->name)) return false;
    for (std::string_view group : {"carries", "sequences", "invariants"}) {
      if (cursor_.TakeWord(group) && !(cursor_.Expect('(') && ReadOperands(node) && cursor_.Expect(')'))) return false;
      int operands = static_cast<int>(node.args.size());
      if (group == "carries") attr.carries = operands;
      if (group == "sequences") attr.sequences = operands - attr.carries;
    }
    if (!GraphReader(cursor_, depth_ + 1).Read(attr.carries, body.get())) return false;
    attr.body = std::move(body);
    return true;
  }

  bool ReadCheckpoint(ScanAttr& attr) {
    const size_t start = cursor_.position();
    int64_t number = 0;
    if (!cursor_.ReadInteger(&number)) return false;
    if (number < 0 || number > kMostCheckpoints) return cursor_.FailAt(start, "no number of a checkpoint");
    attr.checkpoint = static_cast<int>(number);
    return true;
  }

  bool ReadOperands(Node& node) {
    do {
      if (!ReadValue(&node.args.emplace_back())) return false;
    } while (cursor_.Take(','));
    return true;
  }

  bool ReadValue(NodeId* id) {
    Reference reference;
    size_t start = cursor_.position();
    if (!cursor_.ReadReference(&reference.label, &reference.number)) return false;
    auto value = values_.find(reference);
    if (value == values_.end()) return cursor_.FailAt(start, "the value is not defined before it is read");
    *id = value->second;
    return true;
  }

  // A body names its next values, then its stacked ones; any other graph its outputs.
  bool ReadReturn(int carries) {
    if (carries < 0) return cursor_.At('}') || ReadOutputs();
    size_t start = cursor_.position();
    if (cursor_.TakeWord("next") && !ReadOutputs()) return false;
    if (int next = static_cast<int>(graph_->outputs().size()); next != carries)
      return cursor_.FailAt(start, fmt::format("{} next values stand for {} carries", next, carries));
    return !cursor_.TakeWord("stacked") || ReadOutputs();
  }

  bool ReadOutputs() {
    do {
      std::string name;
      NodeId value = 0;
      size_t start = cursor_.position();
      if (!cursor_.ReadName("the name of an output", &name) || !cursor_.Expect('=')) return false;
      size_t value_start = cursor_.position();
      if (!ReadValue(&value)) return false;
      if ((*graph_)[value].op == Op::kScan) return cursor_.FailAt(value_start, "a scan is read without `result`");
      if (!output_names_.insert(name).second)
        return cursor_.FailAt(start, fmt::format("a second output is named `{}`", name));
      graph_->AddOutput(std::move(name), value);
    } while (cursor_.Take(','));
    return true;
  }

  TextCursor& cursor_;
  int depth_;
  Graph* graph_ = nullptr;
  std::map<Reference, NodeId> values_;
  std::set<std::string> input_names_, output_names_;
};

}  // namespace

std::expected<Graph, TextError> ReadText(std::string_view text) {
  TextCursor cursor(text);
  Graph graph;
  bool read = cursor.ExpectWord("graph") && cursor.ReadName("the name of a graph", &graph.name) &&
              GraphReader(cursor, 0).Read(-1, &graph) && (cursor.at_end() || cursor.FailToFind("the end of the text"));
  if (!read) return std::unexpected(cursor.error());
  return graph;
}

}  // namespace recurve::ir
