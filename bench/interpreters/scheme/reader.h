#pragma once

// From text to data. Pairs that the reader makes carry the number of their line, from which messages get theirs.

#include <string_view>

#include "bench/interpreters/scheme/interpreter.h"

namespace scheme {

class Reader {
 public:
  // The text stays the caller's: if it lies in the heap, the caller holds its object.
  Reader(Interpreter& in, std::u32string_view text, size_t position = 0, uint32_t line = 1)
      : in_(in), text_(text), position_(position), line_(line) {}

  // The next datum, or the end-of-file object. Wrong text is a SchemeError of the kind "read", text that ends too soon one
  // of the kind kIncomplete, and both begin with the line.
  Value Read();

  size_t position() const { return position_; }
  uint32_t line() const { return line_; }

  static constexpr const char* kIncomplete = "incomplete";

 private:
  bool AtEnd() const { return position_ == text_.size(); }
  char32_t Peek() const { return text_[position_]; }
  char32_t Take();
  void SkipBlanks();
  void SkipBlockComment();
  char32_t TakeOrFail(const char* inside);
  std::u32string_view TakeToken();

  Value ReadDatum(int depth);
  Value ReadList(char32_t closing, int depth);
  Value ReadQuoted(const char* symbol, int depth);
  Value ReadString();
  Value ReadBarSymbol();
  void ReadEscape(std::u32string* text);
  Value ReadHash(int depth);
  Value ReadCharacter();
  Value ReadBytevector(int depth);
  Value ReadAtom();
  [[noreturn]] void FailHere(const std::string& message, const char* kind = "read") const;

  Interpreter& in_;
  std::u32string_view text_;
  size_t position_;
  uint32_t line_;
};

}  // namespace scheme
