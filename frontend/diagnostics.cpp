// frontend/diagnostics.cpp: collecting and rendering messages, and guessing what was meant.

#include "frontend/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace recurve::frontend {
namespace {

struct KindRow {
  std::string_view name;
  Severity severity;
};

constexpr KindRow kKindRows[] = {
#define DIAGNOSTIC(Kind, severity, sentence) {#Kind, Severity::severity},
#include "frontend/diagnostics.def"
};

// Beyond this many, more messages help nobody.
constexpr size_t kMostMessages = 100;

std::string Place(const Range& range) {
  if (range.source == nullptr) return {};
  Position position = range.source->PositionOf(range.begin);
  return fmt::format("{}:{}:{}: ", range.source->name(), position.line, position.column);
}

// The source line, and below it a caret with tildes to the end of the range on that line.
std::string Excerpt(const Range& range) {
  if (range.source == nullptr) return {};
  Position begin = range.source->PositionOf(range.begin);
  Position end = range.source->PositionOf(range.end);
  std::string_view line = range.source->Line(begin.line);
  std::string marks;
  int column = 0, last = end.line == begin.line ? end.column : 1 << 30;
  for (char byte : line) {
    if ((static_cast<unsigned char>(byte) & 0xC0) == 0x80) continue;
    ++column;
    if (column >= last) break;
    if (column < begin.column) {
      marks += byte == '\t' ? '\t' : ' ';  // a tab is as wide below as above
    } else {
      marks += column == begin.column ? '^' : '~';
    }
  }
  // An empty range, or one at the end of its line.
  if (!marks.ends_with('^') && !marks.ends_with('~')) marks += '^';
  return fmt::format("{}\n{}\n", line, marks);
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

std::string_view KindName(Kind kind) { return kKindRows[static_cast<size_t>(kind)].name; }
Severity SeverityOf(Kind kind) { return kKindRows[static_cast<size_t>(kind)].severity; }

Diagnostic& Diagnostic::Note(const Range& at, std::string text) {
  notes.push_back({at, std::move(text)});
  return *this;
}

Diagnostic& Diagnostics::Report(Kind kind, const Range& range, std::string message) {
  if (SeverityOf(kind) == Severity::kError) ++errors_;
  bool fresh = seen_.emplace(kind, range.source, range.begin, range.end).second;
  if (!fresh || all_.size() >= kMostMessages) return dropped_ = {};
  all_.push_back({kind, range, std::move(message), {}});
  return all_.back();
}

std::string Diagnostics::Render() const {
  std::vector<std::pair<uint32_t, size_t>> order;  // place in the text, then the order of reporting
  for (size_t i = 0; i < all_.size(); ++i) order.emplace_back(all_[i].range.source ? all_[i].range.begin : 0, i);
  std::ranges::sort(order);
  std::string text;
  for (auto [begin, index] : order) {
    const Diagnostic& diagnostic = all_[index];
    text += fmt::format("{}{}: {} [{}]\n", Place(diagnostic.range),
                        SeverityOf(diagnostic.kind) == Severity::kError ? "error" : "warning", diagnostic.message,
                        KindName(diagnostic.kind));
    text += Excerpt(diagnostic.range);
    for (const Diagnostic::Remark& note : diagnostic.notes) {
      text += fmt::format("{}note: {}\n", Place(note.range), note.message);
    }
  }
  return text;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr size_t kLongest = 64;
  if (word.size() > kLongest) return {};
  std::string_view best;
  size_t best_distance = word.size() / 3 + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest || candidate == word) continue;
    size_t distance = EditDistance(word, candidate);
    // One letter for another is no hint.
    if (distance >= std::max(word.size(), candidate.size())) continue;
    if (distance < best_distance || (distance == best_distance && best.empty())) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best.empty() ? std::string() : fmt::format("; did you mean `{}`?", best);
}

std::string Counted(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace recurve::frontend
