#pragma once

// What operator new does when there is no memory.

#include <cstddef>

namespace acre::compat {

// Calls the new-handler until there is memory, as the standard says. Null when there is no handler (any more). What the
// handler throws passes through.
void* RetryNew(size_t bytes, size_t alignment);

// The same for the forms that do not throw: null if the handler throws.
void* RetryNewNoThrow(size_t bytes, size_t alignment) noexcept;

}  // namespace acre::compat
