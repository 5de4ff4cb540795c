// ir/text_cursor.h: a position in a text of the IR, and the words that stand there.
//
// There are no tokens: the grammar always knows which kind of word comes next, so `scan`, `4` and `c'` can be an
// operation, an extent or a name by where they stand. A function that reads returns false when the text does not fit
// and remembers the first mistake; callers only pass the false on.

#ifndef RECURVE_IR_TEXT_CURSOR_H_
#define RECURVE_IR_TEXT_CURSOR_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "ir/text.h"

namespace recurve::ir {

class TextCursor {
 public:
  explicit TextCursor(std::string_view text) : text_(text) { SkipBlanks(); }

  // Where the next word starts, in bytes.
  size_t position() const { return position_; }
  bool at_end() const { return position_ == text_.size(); }
  bool At(char c) const { return !at_end() && text_[position_] == c; }

  // Take what is named if it comes next.
  bool Take(char c);
  bool TakeWord(std::string_view word);

  // Take what must come next.
  bool Expect(char c);
  bool ExpectWord(std::string_view word);
  // `what` says in an error what was looked for.
  bool ReadWord(std::string_view what, std::string* word);
  // A word, or a quoted string.
  bool ReadName(std::string_view what, std::string* name);
  bool ReadString(std::string_view what, std::string* string);
  bool ReadInteger(int64_t* value);
  // An integer that fits an int.
  bool ReadSmallInteger(int* value);
  // inf, -inf and nan are numbers.
  bool ReadNumber(double* value);
  // `%label`, `%"a label"`, either with `~2`, or `%3`, which has an empty label. `number` is 1 where none stands.
  bool ReadReference(std::string* label, int64_t* number);

  // Remember a mistake, at the next word or at a position; always false.
  bool Fail(std::string message) { return FailAt(position_, std::move(message)); }
  bool FailAt(size_t position, std::string message);
  // Expected `what` and saw something else.
  bool FailToFind(std::string_view what);
  // The first mistake.
  const TextError& error() const { return error_; }

 private:
  void SkipBlanks();
  std::string_view PeekWord() const;
  // Moves past `size` characters and the blanks behind them.
  void Advance(size_t size);
  bool ReadDigits(std::string_view what, int64_t* value);

  std::string_view text_;
  size_t position_ = 0;
  TextError error_;
};

}  // namespace recurve::ir

#endif  // RECURVE_IR_TEXT_CURSOR_H_
