#include "os/linux/text.h"

#include <fcntl.h>

#include <cstring>
#include <limits>

#include "os/linux/system_call.h"

namespace acre::os {

Text TextOf(const char* text) { return {text, std::strlen(text)}; }

bool TextStartsWith(Text text, Text prefix) {
  if (text.size() < prefix.size()) return false;
  return prefix.empty() || std::memcmp(text.data(), prefix.data(), prefix.size()) == 0;
}

bool TextEquals(Text text, const char* expected) {
  const Text other = TextOf(expected);
  return text.size() == other.size() && TextStartsWith(text, other);
}

Text CutUntil(char separator, Text* rest) {
  for (size_t i = 0; i < rest->size(); ++i) {
    if ((*rest)[i] != separator) continue;
    const Text piece = rest->first(i);
    *rest = rest->subspan(i + 1);
    return piece;
  }
  const Text piece = *rest;
  *rest = {};
  return piece;
}

bool ParseNumber(Text text, uint64_t* number) {
  if (text.empty()) return false;
  constexpr uint64_t kRadix = 10;
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    const uint64_t digit = static_cast<uint64_t>(c - '0');
    if (value > (kMost - digit) / kRadix) return false;
    value = value * kRadix + digit;
  }
  *number = value;
  return true;
}

LineReader::LineReader(const char* path)
    : descriptor_(static_cast<int>(SystemCall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0))) {}

LineReader::~LineReader() {
  if (descriptor_ >= 0) (void)SystemCall(SYS_close, descriptor_);
}

bool LineReader::Next(Text* line) {
  for (;;) {
    const Text unread(buffer_ + next_, end_ - next_);
    Text rest = unread;
    const Text piece = CutUntil('\n', &rest);
    const bool has_line_feed = piece.size() < unread.size();
    if (!has_line_feed) {
      if (Refill()) continue;
      if (piece.empty()) return false;
    }
    // After a refill that read nothing the last line, which lacks a line feed, lies at the front.
    *line = has_line_feed ? piece : Text(buffer_, end_);
    next_ = has_line_feed ? next_ + piece.size() + 1 : end_;
    if (!is_skipping_) return true;
    is_skipping_ = false;
  }
}

// Moves what is unread to the front and reads on. False at the end of the file.
bool LineReader::Refill() {
  if (descriptor_ < 0) return false;
  std::memmove(buffer_, buffer_ + next_, end_ - next_);
  end_ -= next_;
  next_ = 0;
  if (end_ == kBufferBytes) {
    is_skipping_ = true;
    end_ = 0;
  }
  long result;
  do {
    result = SystemCall(SYS_read, descriptor_, buffer_ + end_, kBufferBytes - end_);
  } while (result == -EINTR);
  if (result <= 0) return false;
  end_ += static_cast<size_t>(result);
  return true;
}

}  // namespace acre::os
