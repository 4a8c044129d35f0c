#pragma once

// One system call, made directly and not through the C library's function of that name.
//
// Three reasons. The heap's calls run inside malloc and must leave the caller's errno as it was. Several wrappers (open,
// read, write) are points where a thread can be cancelled, which must not happen with a lock of the heap held. And the
// sanitizers replace the wrappers of the memory calls: GCC 12's thread sanitizer ends the process when an address
// is asked for with MAP_FIXED_NOREPLACE that lies outside of its own layout, where the kernel just refuses.

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <concepts>
#include <cstdint>

namespace acre::os {

inline long SystemCallWord(const volatile void* pointer) { return reinterpret_cast<long>(pointer); }
inline long SystemCallWord(std::integral auto number) { return static_cast<long>(number); }

// The result, or the negated error number. Keeps errno.
template <class... Arguments>
inline long SystemCall(long number, Arguments... arguments) {
  const int callers_errno = errno;
  const long result = ::syscall(number, SystemCallWord(arguments)...);
  const int error = errno;
  errno = callers_errno;
  return result == -1 ? -static_cast<long>(error) : result;
}

}  // namespace acre::os
