// The one place that catches an exception: a new-handler may throw bad_alloc out of an operator new that must not.
//
// Compiled with exceptions. What the compiler needs for that is referred to weakly: a program whose handler throws has
// brought it along, and any other program never comes here.

#include "allocator/compat/malloc/new_retry.h"

__asm__(
    ".weak __gxx_personality_v0\n"
    ".weak __cxa_begin_catch\n"
    ".weak __cxa_end_catch\n"
    ".weak _Unwind_Resume\n"
    ".weak _ZSt9terminatev\n");

namespace acre::compat {

void* RetryNewNoThrow(size_t bytes, size_t alignment) noexcept {
  try {
    return RetryNew(bytes, alignment);
  } catch (...) {
    return nullptr;
  }
}

}  // namespace acre::compat
