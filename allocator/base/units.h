#pragma once

// The units that every part of the heap counts in. See docs/glossary.md for the words.

#include <cstddef>
#include <cstdint>

namespace acre {

inline constexpr size_t kKiB = 1024;
inline constexpr size_t kMiB = 1024 * kKiB;
inline constexpr size_t kGiB = 1024 * kMiB;

// The unit of the page heap; not the operating system's page.
inline constexpr uint32_t kPageShift = 13;
inline constexpr size_t kPageBytes = size_t{1} << kPageShift;

// One reservation of address space. 64 MiB as in Go: large enough that a heap of 100 GiB has few of them, small enough
// that its records (10 MiB of address space, of which only what is used is ever touched) stay cheap.
inline constexpr uint32_t kChunkShift = 26;
inline constexpr size_t kChunkBytes = size_t{1} << kChunkShift;
inline constexpr uintptr_t kChunkMask = kChunkBytes - 1;
inline constexpr uint32_t kChunkPages = kChunkBytes / kPageBytes;

// User addresses on x86-64 and AArch64 end here.
inline constexpr uint32_t kAddressBits = 47;

// Every slot is aligned to this: what malloc promises for any type.
inline constexpr uint32_t kSlotAlignmentShift = 4;
inline constexpr size_t kSlotAlignment = size_t{1} << kSlotAlignmentShift;

constexpr uintptr_t AlignUp(uintptr_t value, size_t alignment) { return (value + alignment - 1) & ~(alignment - 1); }
constexpr uintptr_t AlignDown(uintptr_t value, size_t alignment) { return value & ~(alignment - 1); }
constexpr bool IsPowerOfTwo(size_t value) { return value != 0 && (value & (value - 1)) == 0; }
constexpr size_t PagesFor(size_t bytes) { return (bytes + kPageBytes - 1) >> kPageShift; }

}  // namespace acre
