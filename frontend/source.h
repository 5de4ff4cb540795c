// frontend/source.h: a text with a name, and ranges of it.
//
// Everything that the frontend makes points into the text it came from, so that a message can show the place. A range
// holds a plain pointer: sources outlive what is made from them (a syntax tree keeps its own alive).

#ifndef RECURVE_FRONTEND_SOURCE_H_
#define RECURVE_FRONTEND_SOURCE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace recurve::frontend {

// A place as people count: both from 1; a column is one character of UTF-8.
struct Position {
  int line = 1;
  int column = 1;
};

class Source {
 public:
  Source(std::string name, std::string text);
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  const std::string& name() const { return name_; }
  const std::string& text() const { return text_; }
  Position PositionOf(uint32_t offset) const;
  // Line `line` (from 1) without its end.
  std::string_view Line(int line) const;

 private:
  std::string name_;
  std::string text_;
  std::vector<uint32_t> line_starts_;
};

// The bytes [begin, end) of a source; no source stands for the whole program or the command line.
struct Range {
  const Source* source = nullptr;
  uint32_t begin = 0;
  uint32_t end = 0;

  // What stands there, on one line and shortened in the middle when long: for quoting in a message.
  std::string Quote() const;
  bool operator==(const Range&) const = default;
};

// From the beginning of `first` to the end of `last`, of one source.
Range Join(const Range& first, const Range& last);

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_SOURCE_H_
