#pragma once

// Helpers for tests that call malloc as a stranger would.

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace acre::testing {

// Returns its argument, which the compiler can no longer reason about: otherwise it removes pairs of malloc and free,
// and warns of the misuse that a test commits on purpose.
template <class T>
[[gnu::always_inline]] inline T Opaque(T value) {
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

inline uintptr_t AddressOf(const void* block) { return reinterpret_cast<uintptr_t>(block); }

inline bool IsAligned(const void* block, size_t alignment) { return AddressOf(block) % alignment == 0; }

// Fills a block with bytes that depend on `tag`, and says whether they are still there.
inline void Fill(void* block, size_t bytes, uint64_t tag) { std::memset(block, static_cast<int>(tag & 0xff), bytes); }

inline bool IsFilled(const void* block, size_t bytes, uint64_t tag) {
  const auto* at = static_cast<const unsigned char*>(block);
  const auto wanted = static_cast<unsigned char>(tag & 0xff);
  // The first byte is right and each byte equals its neighbour.
  return bytes == 0 || (at[0] == wanted && std::memcmp(at, at + 1, bytes - 1) == 0);
}

inline constexpr size_t kKiB = 1024;
inline constexpr size_t kMiB = 1024 * kKiB;

}  // namespace acre::testing
