#pragma once

// Assertions in three levels, and the one way to die.
//
// CHECK   always on: misuse of an interface, damaged metadata, cold paths.
// ASSERT  in debug and checked builds: pre- and postconditions.
// AUDIT   in debug builds only: walks over whole structures.
//
// `Fatal` writes one line to standard error without allocating, without stdio and without locks, then aborts:
//
//   os::Fatal("double free of ", os::Hex{address}, ": slot of ", bytes, " bytes");

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace acre::os {

// A number to be printed in hexadecimal, with 0x.
struct Hex {
  uint64_t value;
};

// One line of text of bounded length, built without allocating. What does not fit is cut off.
class Line {
 public:
  static constexpr size_t kCapacity = 512;

  Line& operator<<(const char* text);
  Line& operator<<(Hex number);
  template <class Number>
    requires std::is_integral_v<Number>
  Line& operator<<(Number number) {
    if constexpr (std::is_signed_v<Number>) {
      return AddSigned(static_cast<int64_t>(number));
    } else {
      return AddUnsigned(static_cast<uint64_t>(number));
    }
  }

  const char* text() const { return text_; }  // Terminated by NUL, without a line feed.
  size_t bytes() const { return used_; }

  // Writes "acre: ", the text and a line feed to the descriptor in one system call. Keeps errno.
  void Write(int descriptor = 2) const;

 private:
  Line& AddSigned(int64_t number);
  Line& AddUnsigned(uint64_t number);

  char text_[kCapacity] = {};
  size_t used_ = 0;
};

// Writes the line "acre: …" to standard error, the notes of os/kernel_bugs.h if there are any, and aborts the process.
[[noreturn]] void FatalLine(const Line& line);

template <class... Parts>
[[noreturn]] [[gnu::cold]] [[gnu::noinline]] void Fatal(const Parts&... parts) {
  Line line;
  (line << ... << parts);
  FatalLine(line);
}

[[noreturn]] [[gnu::cold]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace acre::os

#define CHECK(condition)                                                         \
  do {                                                                           \
    if (!(condition)) [[unlikely]]                                               \
      ::acre::os::CheckFailed(#condition, __FILE__, __LINE__);                   \
  } while (false)

#if defined(ACRE_ASSERTS)
#define ASSERT(condition) CHECK(condition)
#else
#define ASSERT(condition) static_cast<void>(sizeof(!(condition)))
#endif

#if defined(ACRE_AUDITS)
#define AUDIT(statement) statement
#else
#define AUDIT(statement) static_cast<void>(0)
#endif
