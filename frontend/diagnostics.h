// frontend/diagnostics.h: what is wrong with a program, and where.
//
// Messages are lower case without a full stop, put code in backticks, and say what was seen. A stage reports all it
// finds and goes on; who asks for its product gets none when there was an error.
//
//   diagnostics.Report(Kind::kShapeMismatch, range, "`W @ x` multiplies `[3*H, I]` by `[H]`")
//       .Note(declaration, "`x` declared here as `[H]`");

#ifndef RECURVE_FRONTEND_DIAGNOSTICS_H_
#define RECURVE_FRONTEND_DIAGNOSTICS_H_

#include <deque>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "frontend/source.h"

namespace recurve::frontend {

enum class Kind : uint8_t {
#define DIAGNOSTIC(Kind, ...) k##Kind,
#include "frontend/diagnostics.def"
};

enum class Severity : uint8_t { kError, kWarning };

// Of a row of diagnostics.def: "ShapeMismatch", and how bad it is.
std::string_view KindName(Kind kind);
Severity SeverityOf(Kind kind);

struct Diagnostic {
  struct Remark {
    Range range;
    std::string message;
  };
  Kind kind = Kind::kSyntax;
  Range range;
  std::string message;
  std::vector<Remark> notes;

  Diagnostic& Note(const Range& range, std::string message);
};

class Diagnostics {
 public:
  // Adds a message, to which notes may be added at once. A second message of one kind at one place is dropped: a cell
  // that several models scan, or a function called twice, says a thing once.
  Diagnostic& Report(Kind kind, const Range& range, std::string message);

  bool has_errors() const { return errors_ > 0; }
  int errors() const { return errors_; }
  const std::deque<Diagnostic>& all() const { return all_; }
  // All messages in the order of the text, with the source line and a caret below each.
  std::string Render() const;

 private:
  std::deque<Diagnostic> all_;  // Report hands out references
  std::set<std::tuple<Kind, const Source*, uint32_t, uint32_t>> seen_;
  Diagnostic dropped_;
  int errors_ = 0;
};

// `; did you mean `name`?` for the candidate closest to `word`, or nothing when none is close.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates);

// "1 value", "2 values".
std::string Counted(size_t count, std::string_view noun);

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_DIAGNOSTICS_H_
