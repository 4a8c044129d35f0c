#pragma once

// Reading the kernel's text files (/proc, cgroups) with a buffer on the stack, and taking their lines apart.

#include <cstddef>
#include <cstdint>
#include <span>

namespace acre::os {

using Text = std::span<const char>;

Text TextOf(const char* text);
bool TextEquals(Text text, const char* expected);
bool TextStartsWith(Text text, Text prefix);

// The part of *rest before the first separator, or all of it; *rest becomes what follows the separator.
Text CutUntil(char separator, Text* rest);

// A whole text of decimal digits. False if there is anything else in it or the number needs over 64 bits.
bool ParseNumber(Text text, uint64_t* number);

// The lines of a file, without their line feeds. Lines longer than the buffer are left out: no line we look for is.
class LineReader {
 public:
  explicit LineReader(const char* path);  // A file that cannot be opened has no lines.
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // *line is valid until the next call.
  bool Next(Text* line);

 private:
  static constexpr size_t kBufferBytes = 4096;

  bool Refill();

  int descriptor_;
  bool is_skipping_ = false;  // In the middle of a line that is too long.
  size_t next_ = 0;           // buffer_[next_, end_) is read and not yet given out.
  size_t end_ = 0;
  char buffer_[kBufferBytes];
};

}  // namespace acre::os
