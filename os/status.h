#pragma once

// The ways in which the operating system, or a part of the heap, refuses.
//
// A refusal is a value; a bug (ours or the caller's) is fatal, see os/check.h.

#include <cstdint>

namespace acre {

enum class [[nodiscard]] Status : uint8_t {
  kOk,
  kOutOfMemory,    // No memory, address space, or mappings left.
  kConflict,       // The wanted address range is in use by someone else.
  kRefused,        // The kernel does not accept addresses there, or forbids the call.
  kNotSupported,   // This kernel does not know the call.
};

}  // namespace acre
