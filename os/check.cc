#include "os/check.h"

#include <cstdlib>
#include <cstring>

#include "os/kernel_bugs.h"

namespace acre::os {
namespace {

constexpr size_t kDigitsBytes = 24;  // 20 decimal digits, or 0x and 16 hexadecimal ones, a sign and NUL.

// Writes the digits so that they end at `limit`; returns where they begin.
char* WriteDigitsBackwards(uint64_t number, unsigned radix, char* limit) {
  char* digit = limit;
  do {
    *--digit = "0123456789abcdef"[number % radix];
    number /= radix;
  } while (number != 0);
  return digit;
}

}  // namespace

Line& Line::operator<<(const char* text) {
  if (text == nullptr) text = "(null)";
  const size_t room = kCapacity - 1 - used_;
  const size_t wanted = std::strlen(text);
  const size_t taken = wanted < room ? wanted : room;
  std::memcpy(text_ + used_, text, taken);
  used_ += taken;
  text_[used_] = '\0';
  return *this;
}

Line& Line::operator<<(Hex number) {
  char digits[kDigitsBytes];
  char* const limit = digits + sizeof digits - 1;
  *limit = '\0';
  char* first = WriteDigitsBackwards(number.value, 16, limit);
  *--first = 'x';
  *--first = '0';
  return *this << first;
}

Line& Line::AddUnsigned(uint64_t number) {
  char digits[kDigitsBytes];
  char* const limit = digits + sizeof digits - 1;
  *limit = '\0';
  return *this << WriteDigitsBackwards(number, 10, limit);
}

Line& Line::AddSigned(int64_t number) {
  if (number >= 0) return AddUnsigned(static_cast<uint64_t>(number));
  *this << "-";
  return AddUnsigned(0 - static_cast<uint64_t>(number));  // Right for the least number too, which has no negative.
}

void FatalLine(const Line& line) {
  line.Write();
  WriteKernelBugNotes();
  std::abort();
}

void CheckFailed(const char* condition, const char* file, int line) {
  Fatal(file, ":", line, ": check failed: ", condition);
}

}  // namespace acre::os
